"""Small random graphs on small random machines, and random decisions for them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from benchmarks.synthetic import synthetic
from tvm_go.graph import OpGraph, Pattern
from tvm_go.legalize import legalize
from tvm_go.rules import rule_set
from tvm_go.simulate.forms import FORMS
from tvm_go.simulate.mixed_machines import draw_machine, draw_reach
from tvm_go.simulate.plans import PlannedGraph, WholePlan

_WINOGRAD = {"kernel_size": [3, 3], "strides": [1, 1], "dilation": [1, 1], "groups": 1}
_PLAIN, _THREE, _TWO = range(3)  # attributes


def planned_graph(seed: int, num_ops: int = 30, num_devices: int = 3) -> PlannedGraph:
    """Tensors of a megabyte: launches, traffic and copies all matter."""
    rng = np.random.default_rng(seed)
    small = synthetic(num_ops, rng, reach=4)
    graph = with_weights(replace(small, value_bytes=small.value_bytes * 2000, flops=small.flops * 1e5), rng)
    default = legalize(graph, np.ones(graph.num_edges, dtype=np.int64), rule_set("tvm"))
    machine, specs = draw_machine(num_devices, rng)
    return PlannedGraph(f"graph {seed}", graph, default, machine, specs, draw_reach(specs, rng), rule_set("wide"))


def with_weights(graph: OpGraph, rng: np.random.Generator) -> OpGraph:
    """What is heavy becomes convolutions and products of a constant weight, some transposes layout changes."""
    names = ("nn.conv2d", "nn.dense", "nn.batch_matmul", "layout_transform")
    heavy = np.flatnonzero(graph.pattern == Pattern.OUT_FUSABLE)
    moves = np.flatnonzero((graph.pattern == Pattern.INJECTIVE) & (rng.random(graph.num_ops) < 0.3))
    op_name, op_attrs = graph.op_name.copy(), graph.op_attrs.copy()
    kind = rng.choice(3, len(heavy), p=[0.7, 0.15, 0.15])
    op_name[heavy] = len(graph.op_names) + kind
    op_attrs[heavy] = np.where(kind == 0, rng.choice([_THREE, _TWO], len(heavy)), _PLAIN)
    op_name[moves] = len(graph.op_names) + 3
    count, old = len(heavy), graph.num_values
    order = np.argsort(np.concatenate([graph.use_op, heavy]), kind="stable")

    def joined(ours: np.ndarray, theirs: object, order: np.ndarray | None = None) -> np.ndarray:
        both = np.concatenate([ours, np.broadcast_to(np.asarray(theirs), count)]).astype(ours.dtype)
        return both if order is None else both[order]

    return replace(
        graph,
        op_names=graph.op_names + names,
        attr_texts=("{}", json.dumps(_WINOGRAD), json.dumps({**_WINOGRAD, "strides": [2, 2]})),
        op_name=op_name,
        op_attrs=op_attrs,
        value_kind=joined(graph.value_kind, 2),
        value_op=joined(graph.value_op, -1),
        value_index=joined(graph.value_index, np.arange(count)),
        value_dtype=joined(graph.value_dtype, 0),
        value_shape_start=np.arange(old + count + 1, dtype=np.int64) * 2,
        shape_dims=np.concatenate([graph.shape_dims, np.full(2 * count, 8)]).astype(np.int64),
        value_bytes=joined(graph.value_bytes, 300_000),
        value_scalar=joined(graph.value_scalar, np.nan),
        use_value=joined(graph.use_value, old + np.arange(count), order),
        use_op=joined(graph.use_op, heavy, order),
        use_arg=joined(graph.use_arg, 1, order),
        use_field=joined(graph.use_field, -1, order),
    )


def random_plan(planned: PlannedGraph, rng: np.random.Generator, levels: int = 4, *, usual: bool = False) -> WholePlan:
    """The legal plan of random decisions; with usual forms if so asked."""
    form = rng.integers(0, len(FORMS), planned.num_ops)
    return planned.legal(
        np.zeros_like(form) if usual else form,
        rng.integers(0, planned.machine.num_devices, planned.num_ops),
        rng.integers(0, 3, planned.graph.num_edges),
        rng.integers(0, levels, planned.num_ops),
    )
