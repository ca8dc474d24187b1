"""Graphs and splits in the JSON format of dnn-partitioning (Tarnawski et al., NeurIPS 2020)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tvm_go.atomic import write_atomically
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.graph import Int32
from tvm_go.simulate.machine import Device, Machine
from tvm_go.simulate.split_scores import HOST
from tvm_go.simulate.workload import Workload

ACCELERATOR = "accelerator"

# The format gives milliseconds for a tensor's way, not bytes; what the ratio of the two is changes no score.
BYTES_PER_MS = 2.0**31 / 1000


def read(path: Path) -> tuple[Workload, Machine]:
    """Read a graph and the machine that its file describes.

    Device 0 is the host: all CPUs count as one device, and its memory has no limit. Then come the accelerators.
    A tensor's cost stands on each of its edges. Where they differ, the last edge of a producer in the file counts.

    Parameters
    ----------
    path : Path
        JSON with ``nodes``, ``edges``, ``maxFPGAs`` and ``maxSizePerFPGA``.

    Raises
    ------
    UsageError
        If the file cannot be read.
    UnsupportedModelError
        If it is no JSON of this format, a cost is negative or not finite, an id is there twice or not at all, or the
        graph has a cycle.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give the path of a JSON graph") from None
    except ValueError as error:
        raise UnsupportedModelError(f"{path}: not JSON ({error}); give a graph of dnn-partitioning") from None
    name = path.stem
    if not isinstance(content, dict):
        raise UnsupportedModelError(f"{name}: the file holds no JSON object with 'nodes' and 'edges'")
    workload = _workload(name, _list(name, content, "nodes"), _list(name, content, "edges"))
    accelerators = _number(name, "the graph", content, "maxFPGAs")
    if not accelerators.is_integer():
        raise UnsupportedModelError(f"{name}: 'maxFPGAs' is {accelerators}; it must be a whole number")
    memory_bytes = _number(name, "the graph", content, "maxSizePerFPGA")
    devices = (
        Device(name=HOST, kind=HOST),
        *(Device(f"{ACCELERATOR}{i}", ACCELERATOR, memory_bytes) for i in range(int(accelerators))),
    )
    return workload, Machine.uniform(f"machine of {name}", devices, BYTES_PER_MS, contend=False, overlap=False)


def write_split(path: Path, workload: Workload, machine: Machine, device: Int32) -> None:
    """Write which device holds which nodes, as the judge of dnn-partitioning reads it.

    Parameters
    ----------
    device : int32 [N]
        A host's nodes go to ``cpus``, those of any other device to ``fpgas``.
    """
    split: dict[str, list[dict[str, list[str | int]]]] = {"fpgas": [], "cpus": []}
    for number, one in enumerate(machine.devices):
        nodes = [workload.op_ids[op] for op in np.flatnonzero(device == number).tolist()]
        split["cpus" if one.kind == HOST else "fpgas"].append({"nodes": nodes})
    write_atomically(path, (json.dumps(split, indent=1) + "\n").encode())


def _workload(name: str, nodes: list[Any], edges: list[Any]) -> Workload:
    place: dict[str | int, int] = {}
    for node in nodes:
        op = _id(name, "a node", node, "id")
        if op in place:
            raise UnsupportedModelError(f"{name}: node id {op!r} is there twice; ids must be unique")
        place[op] = len(place)
    op_ms = np.full((len(nodes), 2), np.inf)
    resident_bytes = np.empty(len(nodes))
    labels: dict[str | int, int] = {}
    colocation = np.full(len(nodes), -1)
    for i, node in enumerate(nodes):
        what = f"node {node['id']!r}"
        op_ms[i, 0] = _number(name, what, node, "cpuLatency")
        if _value(name, what, node, "supportedOnFpga"):
            op_ms[i, 1] = _number(name, what, node, "fpgaLatency")
        resident_bytes[i] = _number(name, what, node, "size")
        if "colorClass" in node:
            colocation[i] = labels.setdefault(_id(name, what, node, "colorClass"), len(labels))
    output_bytes = np.zeros(len(nodes))
    pairs = np.empty((len(edges), 2), dtype=np.int64)
    for i, edge in enumerate(edges):
        ends = [_id(name, "an edge", edge, key) for key in ("sourceId", "destId")]
        unknown = [end for end in ends if end not in place]
        if unknown:
            raise UnsupportedModelError(f"{name}: an edge names node {unknown[0]!r}, which is not among the nodes")
        pairs[i] = [place[end] for end in ends]
        output_bytes[pairs[i, 0]] = BYTES_PER_MS * _number(name, f"edge {ends[0]!r} -> {ends[1]!r}", edge, "cost")
    return Workload.of(
        name,
        (HOST, ACCELERATOR),
        op_ms,
        pairs,
        output_bytes=output_bytes,
        resident_bytes=resident_bytes,
        colocation=colocation,
        op_ids=tuple(place),
    )


def _value(name: str, what: str, item: Any, key: str) -> Any:
    if not isinstance(item, dict) or key not in item:
        raise UnsupportedModelError(f"{name}: {what} has no '{key}'; see the format of dnn-partitioning")
    return item[key]


def _list(name: str, content: dict[str, Any], key: str) -> list[Any]:
    value = _value(name, "the graph", content, key)
    if not isinstance(value, list):
        raise UnsupportedModelError(f"{name}: '{key}' is no list; see the format of dnn-partitioning")
    return value


def _id(name: str, what: str, item: Any, key: str) -> str | int:
    value = _value(name, what, item, key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnsupportedModelError(f"{name}: '{key}' of {what} is {value!r}; it must be a whole number or a text")
    return value


def _number(name: str, what: str, item: Any, key: str) -> float:
    value = _value(name, what, item, key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UnsupportedModelError(f"{name}: '{key}' of {what} is {value!r}; it must be a finite number, not negative")
    return float(value)
