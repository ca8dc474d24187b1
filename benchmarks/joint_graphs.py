"""Models of the zoo as graphs for simulated machines, kept in a folder: preparing them takes minutes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tvm_go.graph import Int32, OpGraph, ValueKind
from tvm_go.graph_json import from_json, packed, to_json, unpacked

FAMILIES: dict[str, tuple[str, ...]] = {
    "convolutional": ("squeezenet", "shuffle", "mobilenet"),
    "Inception": ("inception_v1",),
    "recurrent": ("lstm", "lstm_wide", "gru"),
    "transformer": ("bert2",),
    "mixer": ("mixer",),
    "WaveNet": ("wavenet",),
    "formulas": ("physics", "options"),
}
"""Models of `benchmarks.zoo` of 40 to 250 ops, by what they are built of."""
FOLDER = Path("build/joint_graphs")


class Graph(NamedTuple):
    """A prepared model; ``default`` is FuseOps' partition, int32 [N]."""

    name: str
    graph: OpGraph
    default: Int32


def graph_of(name: str, folder: Path = FOLDER) -> Graph:
    """A model of the zoo, prepared for any x86, from the folder if it is there."""
    path = folder / f"{name}.json"
    if not path.exists():
        from benchmarks.zoo import load
        from relay_passes.targets import as_target
        from tuning_logs.files import write_whole
        from tvm_go.model import Model

        zoo = load(name)
        model = Model.prepare(zoo.mod, zoo.params, as_target("llvm"))
        row = {"graph": to_json(model.graph), "default": packed(model.default)}
        write_whole(path, json.dumps(row).encode())
    row = json.loads(path.read_text())
    return Graph(name, from_json(row["graph"]), unpacked(row["default"]).astype(np.int32))


def batched(one: Graph, batch: int) -> Graph:
    """The same model on so many inputs at once: activations and arithmetic grow, weights stay."""
    graph = one.graph
    grows = graph.value_kind != ValueKind.CONSTANT
    larger = replace(graph, value_bytes=np.where(grows, graph.value_bytes * batch, graph.value_bytes),
                     flops=graph.flops * batch)  # fmt: skip
    return Graph(f"{one.name} x {batch}", larger, one.default)
