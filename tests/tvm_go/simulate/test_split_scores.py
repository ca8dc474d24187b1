"""Throughput and latency against the judge of dnn-partitioning."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvm_go.errors import UsageError
from tvm_go.graph import Int32
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.dnn_partitioning import read, write_split
from tvm_go.simulate.split_scores import latency, throughput

SHARED = Path(__file__).parents[4] / "shared"
GRAPHS = sorted((SHARED / "data" / "dnn-partitioning").glob("*-inputs/*/*.json"))
SCORES = {"throughput": throughput, "latency": latency}


def load_judge() -> ModuleType:
    path = SHARED / "tools" / "score_split.py"
    if not path.exists():
        pytest.skip(f"the judge is not at {path}")
    spec = importlib.util.spec_from_file_location("score_split", path)
    assert spec is not None and spec.loader is not None
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    return judge


def judged(judge: ModuleType, graph: dict[str, Any], split: dict[str, Any], objective: str) -> float:
    try:
        return float(getattr(judge, objective)(graph, judge.load_split(graph, split)))
    except judge.Infeasible:
        return float("inf")


def random_splits(workload: Workload, num_devices: int, rng: np.random.Generator) -> Int32:
    """Contiguous and scattered splits, with colocation kept in all but the last few."""
    rows = []
    for number in range(24):
        cuts = np.sort(rng.integers(0, workload.num_classes + 1, num_devices - 1))
        device = np.searchsorted(cuts, np.arange(workload.num_classes), side="right")
        strays = rng.integers(0, workload.num_classes, number % 4)
        device[strays] = rng.integers(0, num_devices, len(strays))
        device[rng.random(workload.num_classes) < 0.3 * (number % 3)] = 0
        row = rng.permutation(num_devices)[device][workload.colocation] if number % 2 else device[workload.colocation]
        if number > 20:
            row[rng.integers(workload.num_ops)] = rng.integers(num_devices)
        rows.append(row)
    return np.array(rows, dtype=np.int32)


def assert_same_as_judge(path: Path, tmp_path: Path, objective: str, seed: int) -> None:
    judge = load_judge()
    graph = json.loads(path.read_text())
    workload, machine = read(path)
    devices = random_splits(workload, machine.num_devices, np.random.default_rng(seed))
    ours = SCORES[objective](workload, machine, devices)
    for row, value in zip(devices, ours, strict=True):
        write_split(tmp_path / "split.json", workload, machine, row)
        split = json.loads((tmp_path / "split.json").read_text())
        assert value == pytest.approx(judged(judge, graph, split, objective), rel=1e-12)


@pytest.mark.parametrize("objective", sorted(SCORES))
@pytest.mark.skipif(not GRAPHS, reason=f"no graphs under {SHARED}")
def test_scores_are_the_judges_on_every_shared_graph(objective: str, tmp_path: Path) -> None:
    for seed, path in enumerate(GRAPHS):
        assert_same_as_judge(path, tmp_path, objective, seed)


def random_graph(rng: np.random.Generator) -> dict[str, Any]:
    """A small graph in the judge's format, with ties, free tensors, classes, unsupported nodes and tight memory."""
    count = int(rng.integers(1, 12))
    sizes = rng.integers(0, 4, count)
    cost = [float(rng.integers(0, 5)) for _ in range(count)]
    nodes = [
        {
            "id": i if rng.random() < 0.5 else f"op{i}",
            "cpuLatency": float(rng.integers(0, 9)),
            "fpgaLatency": float(rng.random()),
            "supportedOnFpga": bool(rng.random() < 0.9),
            "size": float(sizes[i]),
            **({"colorClass": int(rng.integers(0, 5))} if rng.random() < 0.4 else {}),
        }
        for i in range(count)
    ]
    edges = [
        {"sourceId": nodes[i]["id"], "destId": nodes[j]["id"], "cost": cost[i]}
        for j in range(count)
        for i in range(j)
        if rng.random() < 0.3
    ]
    limit = float(rng.integers(0, sizes.sum() + 1))
    return {"nodes": nodes, "edges": edges, "maxFPGAs": int(rng.integers(0, 4)), "maxSizePerFPGA": limit}


@given(seed=st.integers(0, 10**9), objective=st.sampled_from(sorted(SCORES)))
@settings(max_examples=80, deadline=None)
def test_scores_are_the_judges_on_random_graphs(
    tmp_path_factory: pytest.TempPathFactory, seed: int, objective: str
) -> None:
    folder = tmp_path_factory.mktemp("graph")
    (folder / "graph.json").write_text(json.dumps(random_graph(np.random.default_rng(seed))))
    assert_same_as_judge(folder / "graph.json", folder, objective, seed)


def chain(machine: Machine) -> Workload:
    return Workload.of(
        "chain",
        ("cpu", "accelerator"),
        np.array([[3.0, 1.0]] * 4),
        np.array([[0, 1], [1, 2], [2, 3]]),
        output_bytes=np.full(4, 2.0),
    )


def test_hosts_count_as_one_and_latencies_count_per_transfer() -> None:
    devices = (Device("a", "cpu"), Device("b", "cpu"), Device("c", "accelerator"))
    machine = Machine.uniform("two hosts", devices, bytes_per_ms=1.0, latency_ms=0.5)
    workload = chain(machine)
    one_host = np.array([[0, 1, 0, 1], [1, 2, 2, 0], [0, 2, 1, 2]], dtype=np.int32)
    assert throughput(workload, machine, one_host).tolist() == [12, 2 + 2 * 2.5, 2 + 3 * 2.5]
    assert latency(workload, machine, one_host).tolist() == [12, 6 + 2 + 2 * 2.5, np.inf]


def test_a_device_that_is_not_there_is_an_error_and_so_is_a_machine_without_host() -> None:
    machine = Machine.uniform("box", (Device("a", "cpu"), Device("b", "accelerator")), bytes_per_ms=1.0)
    with pytest.raises(UsageError, match="devices 0 to 2 are used"):
        throughput(chain(machine), machine, np.array([[0, 1, 2, 0]], dtype=np.int32))
    bare = Machine.uniform("bare", (Device("b", "accelerator"),), bytes_per_ms=1.0)
    with pytest.raises(UsageError, match="no device of kind 'cpu'"):
        latency(chain(bare), bare, np.zeros((1, 4), dtype=np.int32))
