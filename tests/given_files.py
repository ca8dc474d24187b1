"""Files that the README and the guides take for granted: models, plans, a graph with known costs, a machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tvm.driver import tvmc

from benchmarks.viewer import made_up_times
from relay_passes.targets import as_target
from tests.models import write_tiny_onnx
from tvm_go.detailing import detailed
from tvm_go.model import Model
from tvm_go.plan import Decisions

_MS = {"cpu": [1.0, 8.0, 8.0, 2.0], "gpu": [0.5, 1.0, 1.0, 0.3]}
_EDGES = {"from": [0, 0, 1, 2], "to": [1, 2, 3, 3]}
_MACHINE = """\
[[device]]
name = "host"
kind = "cpu"
[[device]]
name = "gpu0"
kind = "gpu"
[[device]]
name = "gpu1"
kind = "gpu"
[every_link]
gb_per_s = 12.0
latency_us = 5
"""


def write_given_files(folder: Path) -> None:
    """All of them; they are small."""
    _write_plans(folder, write_tiny_onnx(folder / "model.onnx"))
    (folder / "tvm-go.jsonl").touch()
    for name in ("graph.json", "gnmt.json"):
        (folder / name).write_text(json.dumps(_own_format()))
    (folder / "bert24_inference.json").write_text(json.dumps(_dnn_partitioning()))
    (folder / "box.toml").write_text(_MACHINE)
    split = {"fpgas": [{"nodes": [1]}, {"nodes": [2, 3]}], "cpus": [{"nodes": [0]}]}
    (folder / "split.json").write_text(json.dumps(split))


def _write_plans(folder: Path, path: Path) -> None:
    """TVM's default plan, one with each op a kernel of its own, and the former as an older tvm-go wrote it."""
    model = tvmc.load(str(path))
    target = as_target("native")
    prepared = Model.prepare(model.mod, model.params, target)
    default = prepared.plan(prepared.default, "tvm", model="model")
    cut = Decisions(np.zeros(prepared.graph.num_edges, dtype=np.int64))
    unfused = cut.decode(prepared.graph, target=str(target), rules="tvm")
    detailed(default, (prepared,), made_up_times).save(folder / "plan.json")
    detailed(unfused, (prepared,), made_up_times).save(folder / "other.json")
    default.save(folder / "old.plan.json")


def _own_format() -> dict[str, object]:
    return {
        "format": "tvm-go workload 1",
        "name": "diamond",
        "ids": list(range(4)),
        "ms": _MS,
        "resident_bytes": [4096] * 4,
        "output_bytes": [65536] * 4,
        "colocation": [None] * 4,
        "edges": _EDGES,
    }


def _dnn_partitioning() -> dict[str, object]:
    costs = zip(_MS["cpu"], _MS["gpu"], strict=True)
    nodes = [
        {"id": number, "cpuLatency": cpu, "fpgaLatency": gpu, "size": 4096.0, "supportedOnFpga": True}
        for number, (cpu, gpu) in enumerate(costs)
    ]
    edges = [
        {"sourceId": source, "destId": reader, "cost": 0.01}
        for source, reader in zip(_EDGES["from"], _EDGES["to"], strict=True)
    ]
    machine = {"maxFPGAs": 2, "maxSizePerFPGA": 1e9, "maxCPUs": 1}
    return {**machine, "nodes": nodes, "edges": edges}
