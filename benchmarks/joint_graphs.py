"""Models of the zoo as graphs for simulated machines, kept in a folder: preparing them takes minutes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvm_go.graph import Int32, OpGraph, ValueKind, vocabulary
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


def together(one: Graph, other: Graph) -> Graph:
    """Two models that are served at once, as one graph; TVM would run one after the other."""
    a, b = one.graph, other.graph
    fields: dict[str, Any] = {}
    for words, number in (("op_names", "op_name"), ("attr_texts", "op_attrs"), ("dtypes", "value_dtype")):
        known = getattr(a, words)
        fields[words], place = vocabulary(known + getattr(b, words))
        fields[number] = place[_joined(a, b, number, len(known))]
    for name in ("pattern", "flops", "free", "fixed", "value_kind", "value_bytes", "value_scalar", "shape_dims"):
        fields[name] = _joined(a, b, name)
    for name, step in (("use_arg", 0), ("use_field", 0), ("use_op", a.num_ops)):
        fields[name] = _joined(a, b, name, step)
    for name in ("use_value", "output_values"):
        fields[name] = _joined(a, b, name, a.num_values)
    inputs = int((a.value_kind == ValueKind.INPUT).sum())
    index = np.where(b.value_kind == ValueKind.INPUT, b.value_index + inputs, b.value_index)
    maker = np.where(b.value_op < 0, -1, b.value_op + a.num_ops)
    graph = OpGraph(
        value_op=np.concatenate([a.value_op, maker]).astype(np.int32),
        value_index=np.concatenate([a.value_index, index]).astype(np.int32),
        value_shape_start=np.concatenate([a.value_shape_start, a.value_shape_start[-1] + b.value_shape_start[1:]]),
        input_names=(*a.input_names, *(f"{name} of the other" for name in b.input_names)),
        **fields,
    )
    default = np.concatenate([one.default, other.default + one.default.max() + 1])
    return Graph(f"{one.name} + {other.name}", graph, default.astype(np.int32))


def _joined(a: OpGraph, b: OpGraph, field: str, step: int = 0) -> NDArray[Any]:
    """A field of both graphs; that of the second goes up by a step."""
    first, second = getattr(a, field), getattr(b, field)
    return np.concatenate([first, second + step if step else second]).astype(first.dtype)
