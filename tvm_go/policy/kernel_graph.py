"""What the policy sees of a model whose ops are to be fused into kernels: the graph alone, no measurements."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tvm_go.arrays import sums
from tvm_go.errors import UnsupportedModelError
from tvm_go.graph import Int32, Int64, OpGraph, Pattern, text_hashes
from tvm_go.kernels import describe, members, returned_values
from tvm_go.legalize import te_takes
from tvm_go.policy.depth import depth_of, progress
from tvm_go.policy.edge_choices import UNIT_FEATURES, EdgeChoices, Float32, units_of
from tvm_go.policy.features import graph_input
from tvm_go.policy.inputs import OP_TYPES, GraphInput
from tvm_go.rules import Rules
from tvm_go.simulate import Device, Machine
from tvm_go.simulate.from_graph import from_graph
from tvm_go.simulate.roofline import DeviceSpec, roofline_ms

_CORE = DeviceSpec("cpu", 1e8, 2e7, 5e-4, float("inf"))  # some core of these days: only ratios of its speeds matter


def kernel_graph(
    graph: OpGraph, default: Int32, rules: Rules, name: str = "graph", *, known_types: Collection[str] | None = None
) -> GraphInput:
    """Describe a model for a policy with the task ``fusion``; it comes with `GraphInput.choices`.

    Parameters
    ----------
    default : int32 [N]
        FuseOps' partition. The policy sees where it merges, and learns where to leave it.
    rules : Rules
        What one kernel may hold.
    known_types : collection of str, optional
        Operators that the policy was trained with; others come without a name. All are known if it is not given.

    Raises
    ------
    UnsupportedModelError
        If the graph is empty.
    """
    if not graph.num_ops:
        raise UnsupportedModelError(f"{name}: the graph is empty; there is nothing to fuse")
    machine = Machine.uniform("one core", (Device("core", _CORE.kind),), bytes_per_ms=1.0)
    base = graph_input(from_graph(graph, [_CORE], name), machine, "sequential")
    edges, unit = units_of(graph, default, rules)
    first = np.unique(unit, return_index=True)[1]
    merges = default[graph.edge_src[edges[first]]] == default[graph.edge_dst[edges[first]]]
    choices = EdgeChoices(
        edge=edges,
        source=graph.edge_src[edges],
        reader=graph.edge_dst[edges],
        unit=unit,
        unit_features=_unit_features(graph, default, rules, edges, first, np.bincount(unit, minlength=len(first))),
        merges_by_default=merges,
        colocation=base.colocation[graph.edge_dst[edges[first]]].astype(np.int64),
    )
    return replace(
        base,
        op_type=op_types(graph, known_types),
        op_features=op_features(graph, default),
        graph_features=graph_features(graph),
        choices=choices,
    )


def op_types(graph: OpGraph, known: Collection[str] | None = None) -> Int64:
    """Hash bucket of each op's name, from 1 on, and 0 for names that are not known: int64 [N]."""
    buckets = (text_hashes(graph.op_names)[:, 0] % np.uint64(OP_TYPES - 1)).astype(np.int64) + 1
    told = [known is None or name in known for name in graph.op_names]
    return np.where(told, buckets, 0)[graph.op_name]


def op_features(graph: OpGraph, default: Int32) -> Float32:
    """Logarithms of sizes, where an op stands, and what FuseOps makes of it: float32 [N, KERNEL_OP_FEATURES]."""
    made = graph.value_op >= 0
    out_bytes = sums(graph.value_op[made], graph.value_bytes[made], graph.num_ops)
    read_bytes = sums(graph.use_op, graph.value_bytes[graph.use_value], graph.num_ops)
    outside = graph.value_op[graph.use_value] < 0
    given_bytes = sums(graph.use_op[outside], graph.value_bytes[graph.use_value[outside]], graph.num_ops)
    op_ms = roofline_ms(graph.flops, read_bytes + out_bytes, [_CORE])[:, 0]
    depth = depth_of(graph.edge_src, graph.edge_dst, op_ms)
    first = graph.op_first_value
    axes = np.diff(graph.value_shape_start)[first]
    dims = np.append(graph.shape_dims, 1)
    columns = [
        *(graph.pattern == pattern for pattern in Pattern),
        graph.free,
        graph.fixed,
        *(np.log2(1 + amount) / 32 for amount in (graph.flops, out_bytes, read_bytes, given_bytes)),
        np.log2(dims[np.where(axes > 0, graph.value_shape_start[first + 1] - 1, -1)]) / 12,
        axes / 6,
        graph.op_returned,
        np.log2(op_ms) / 8,
        np.log1p(np.bincount(graph.edge_src, minlength=graph.num_ops)),
        np.log1p(np.bincount(graph.edge_dst, minlength=graph.num_ops)),
        depth.level / (depth.level.max() + 1),
        progress(op_ms, depth.level),
        np.log2(np.bincount(default)[default]) / 4,
        sums(default, graph.pattern >= Pattern.REDUCTION, int(default.max()) + 1)[default] / 2,
    ]
    return np.column_stack(columns).astype(np.float32)


def graph_features(graph: OpGraph) -> Float32:
    made_bytes = float(graph.value_bytes[graph.value_op >= 0].sum())
    numbers = [
        np.log(graph.num_ops) / 10,
        np.log1p(graph.num_edges / graph.num_ops),
        np.log2(1 + graph.flops.sum()) / 40,
        np.log2(1 + made_bytes / graph.num_ops) / 32,
        np.mean(graph.pattern >= Pattern.REDUCTION),
        np.log2((1 + graph.flops.sum()) / (1 + made_bytes)) / 16,
    ]
    return np.array(numbers, dtype=np.float32)


def _unit_features(graph: OpGraph, default: Int32, rules: Rules, edges: Int32, first: Int64, count: Int64) -> Float32:
    """Of the first edge of each unit, which stands for all: float32 [U, UNIT_FEATURES].

    Three kernels are looked at: those of the two ends, and both as one. Where FuseOps merges the edge, they are the
    ops at the two ends alone, and the kernel that it makes.
    """
    starts, ops = members(default)
    alone = np.arange(graph.num_ops, dtype=np.int32)
    mean_bytes = max(float(graph.edge_bytes.mean()), 1.0) if graph.num_edges else 1.0
    out_degree = np.bincount(graph.edge_src, minlength=graph.num_ops)
    in_degree = np.bincount(graph.edge_dst, minlength=graph.num_ops)
    rows = np.zeros((len(first), UNIT_FEATURES), dtype=np.float32)
    for number, edge in enumerate(edges[first]):
        source, reader = graph.edge_src[edge], graph.edge_dst[edge]
        merged = default[source] == default[reader]
        kernels = [ops[starts[default[end]] : starts[default[end] + 1]] for end in (source, reader)]
        parts = [np.array([source]), np.array([reader])] if merged else kernels
        whole = kernels[0] if merged else np.sort(np.concatenate(kernels)).astype(np.int32)
        work = [_work(graph, alone, part) for part in (*parts, whole)]
        flops, moved = np.array(work).T
        ms = roofline_ms(flops, moved, [_CORE])[:, 0]
        edge_bytes = float(graph.edge_bytes[edge])
        rows[number, : UNIT_FEATURES - 3] = [
            merged,
            np.log2(1 + edge_bytes) / 32,
            np.log2((1 + edge_bytes) / mean_bytes) / 8,
            np.log2(count[number]) / 6,
            np.log1p(out_degree[source]),
            np.log1p(in_degree[reader]),
            graph.op_returned[source],
            graph.edge_elementwise[edge],
            graph.moves_whole[reader],
            graph.free[source],
            graph.free[reader],
            *(np.log2(len(part)) / 4 for part in parts),
            *(np.sum(graph.pattern[part] >= Pattern.REDUCTION) / 2 for part in parts),
            *(np.max(graph.pattern[part]) / 8 for part in parts),
            te_takes(graph, whole.tolist()),
            len(whole) <= rules.max_ops and np.sum(graph.pattern[whole] >= Pattern.REDUCTION) <= rules.max_anchors,
            *(np.log2(ms) / 8),
            np.clip((ms[0] + ms[1] - ms[2]) / (ms[0] + ms[1]), -1, 1),
            np.clip(1 - work[2][1] / max(work[0][1] + work[1][1], 1.0), -1, 1),
        ]
    return rows


def _work(graph: OpGraph, alone: Int32, ops: NDArray[np.integer]) -> tuple[float, float]:
    """Operations of a kernel, and bytes that it reads and writes."""
    kernel = alone.copy()
    kernel[ops] = ops[0]
    one = describe(graph, ops.astype(np.int32), returned_values(graph, kernel))
    moved = graph.value_bytes[[*one.inputs, *one.outputs]].sum()
    return float(graph.flops[ops].sum()), float(moved)
