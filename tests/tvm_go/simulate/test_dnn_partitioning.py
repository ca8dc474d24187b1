"""Graphs and splits in the format of dnn-partitioning."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.simulate.dnn_partitioning import read, write_split


def node(id_: object, **changes: object) -> dict[str, Any]:
    given = {"id": id_, "cpuLatency": 4.0, "fpgaLatency": 1.0, "supportedOnFpga": True, "size": 8.0}
    return given | changes


def edge(source: object, target: object, cost: float = 0.5) -> dict[str, Any]:
    return {"sourceId": source, "destId": target, "cost": cost}


def graph(nodes: list[Any], edges: list[Any], **changes: object) -> dict[str, Any]:
    return {"nodes": nodes, "edges": edges, "maxFPGAs": 2, "maxSizePerFPGA": 16.0} | changes


def written(folder: Path, content: object) -> Path:
    path = folder / "net.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_ops_stand_in_topological_order_with_costs_ids_and_classes(tmp_path: Path) -> None:
    nodes = [
        node("last", cpuLatency=7, colorClass="w"),
        node(3, supportedOnFpga=False, fpgaLatency=None),
        node("first", size=2, colorClass="w"),
    ]
    workload, machine = read(written(tmp_path, graph(nodes, [edge("first", 3), edge(3, "last", 0.25)])))
    assert workload.name == "net"
    assert workload.op_ids == ("first", 3, "last")
    assert workload.op_ms.tolist() == [[4, 1], [4, np.inf], [7, 1]]
    assert workload.resident_bytes.tolist() == [2, 8, 8]
    assert workload.colocation.tolist() == [0, 1, 0]
    assert [(device.kind, device.memory_bytes) for device in machine.devices] == [
        ("cpu", np.inf),
        ("accelerator", 16.0),
        ("accelerator", 16.0),
    ]
    cost_ms = workload.output_bytes / machine.bytes_per_ms[0, 1]
    assert cost_ms == pytest.approx([0.5, 0.25, 0])


def test_where_edges_of_one_producer_differ_the_last_one_counts(tmp_path: Path) -> None:
    edges = [edge(0, 1, 5.0), edge(0, 2, 0.75)]
    workload, machine = read(written(tmp_path, graph([node(0), node(1), node(2)], edges)))
    assert workload.output_bytes[0] / machine.bytes_per_ms[1, 0] == pytest.approx(0.75)


def test_a_split_names_nodes_as_the_file_does(tmp_path: Path) -> None:
    workload, machine = read(written(tmp_path, graph([node("b"), node(7)], [edge(7, "b")])))
    write_split(tmp_path / "split.json", workload, machine, np.array([2, 0], dtype=np.int32))
    assert json.loads((tmp_path / "split.json").read_text()) == {
        "fpgas": [{"nodes": []}, {"nodes": [7]}],
        "cpus": [{"nodes": ["b"]}],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{nodes", "not JSON"),
        ([1, 2], "no JSON object"),
        ({"nodes": []}, "the graph has no 'edges'"),
        ({"nodes": 3, "edges": []}, "'nodes' is no list"),
        ({"nodes": [], "edges": [], "maxFPGAs": 1}, "the graph has no 'maxSizePerFPGA'"),
        (graph([], [], maxFPGAs=1.5), "'maxFPGAs' is 1.5"),
        (graph([{"id": 1}], []), "node 1 has no 'cpuLatency'"),
        (graph([5], []), "a node has no 'id'"),
        (graph([node([1])], []), r"'id' of a node is \[1\]"),
        (graph([node(1), node(1)], []), "node id 1 is there twice"),
        (graph([node(1, cpuLatency=-2)], []), "'cpuLatency' of node 1 is -2"),
        (graph([node(1, size=float("nan"))], []), "'size' of node 1 is nan"),
        (graph([node(1, fpgaLatency="x")], []), "'fpgaLatency' of node 1 is 'x'"),
        (graph([node(1)], [edge(1, 2)]), "an edge names node 2"),
        (graph([node(1), node(2)], [edge(1, 2, -1.0)]), "'cost' of edge 1 -> 2 is -1.0"),
        (graph([node(1), node(2)], [edge(1, 2, float("inf"))]), "'cost' of edge 1 -> 2 is inf"),
        (graph([node(1), node(2)], [edge(1, 2), edge(2, 1)]), "the graph has a cycle"),
        (graph([node(1)], [edge(1, 1)]), "the graph has a cycle"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message) as caught:
        read(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "absent.json")
