"""Numbers that describe kernels to a regressor, from the OpGraph alone: all kernels of a partition at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cost_model.loop_nest import LOOP_NAMES, loop_nest
from tvm_go.arrays import sums
from tvm_go.graph import Int32, OpGraph, Pattern
from tvm_go.kernels import crossing_reads, members, returned_values

Floats = NDArray[np.float64]

_CLASSES: dict[str, tuple[str, ...]] = {
    "conv2d": ("nn.conv2d",),
    "conv2d_blocked": ("nn.contrib_conv2d_NCHWc", "nn.contrib_conv2d_winograd_without_weight_transform"),
    "depthwise": ("nn.contrib_depthwise_conv2d_NCHWc",),
    "dense": ("nn.dense", "nn.matmul"),
    "dense_packed": ("nn.contrib_dense_pack",),
    "batch_matmul": ("nn.batch_matmul",),
    "max_pool": ("nn.max_pool2d", "nn.max_pool1d", "nn.max_pool3d"),
    "average_pool": ("nn.avg_pool2d", "nn.avg_pool1d", "nn.avg_pool3d", "nn.global_avg_pool2d",
                     "nn.adaptive_avg_pool2d"),
    "softmax": ("nn.softmax", "nn.log_softmax"),
    "sum": ("sum", "mean", "prod", "variance"),
    "extremum": ("max", "min", "argmax", "argmin", "all", "any"),
    "transpose": ("transpose",),
    "layout_transform": ("layout_transform",),
    "concatenate": ("concatenate", "stack"),
    "cut": ("split", "strided_slice", "slice_like"),
    "pad": ("nn.pad",),
    "view": ("reshape", "squeeze", "expand_dims", "nn.batch_flatten", "contrib_reverse_reshape"),
    "spread": ("broadcast_to", "broadcast_to_like", "repeat", "tile"),
    "look_up": ("take", "gather", "gather_nd", "adv_index", "embedding"),
    "cheap": ("add", "subtract", "multiply", "nn.relu", "clip", "negative", "abs", "maximum", "minimum", "nn.bias_add",
              "where", "cast", "copy", "logical_and", "logical_or", "logical_not", "less", "greater", "equal"),
    "divide": ("divide", "sqrt", "rsqrt", "floor_divide", "mod", "floor_mod"),
    "exponential": ("exp", "sigmoid", "fast_exp"),
    "tanh": ("tanh", "fast_tanh"),
    "erf": ("erf", "fast_erf"),
    "libm": ("log", "sin", "cos", "tan", "power", "atan", "log2", "log10", "log1p", "expm1", "atan2"),
    "other": (),
}  # fmt: skip
_CLASS_OF = {name: number for number, names in enumerate(_CLASSES.values()) for name in names}
_OTHER = len(_CLASSES) - 1
KINDS = tuple(_CLASSES)
"""Classes of operators, by which ops are counted."""
OPERATORS = tuple(_CLASS_OF)
"""Operators that are told apart; the others count as one."""

_OVERALL = (
    "ops", "anchors", "inputs", "outputs", "flops", "bytes_in", "bytes_out", "bytes_inside", "bytes_largest_in",
    "bytes_broadcast", "intensity", "elements_out", "elements_most", "elements_before", "elements_after", "width",
    "narrowest", "flops_anchors", "shared",
)  # fmt: skip
FEATURES: tuple[str, ...] = (
    *_OVERALL,
    *(f"ops_{word}" for word in KINDS),
    *(f"elements_{word}" for word in KINDS),
    *(f"anchor_{word}" for word in KINDS),
    *(f"anchor_{name}" for name in (*LOOP_NAMES, "flops", "lanes_left")),
    *(f"second_{name}" for name in LOOP_NAMES),
)
"""Names of the columns of :func:`kernel_features`; extents, counts and bytes are logarithms, log2(1 + x)."""


@dataclass(frozen=True)
class OpTable:
    """What each op of a graph adds to the features of its kernel.

    Attributes
    ----------
    kind : int32 [N]
        Class of the operator.
    sizes : float64 [V]
        Elements of each value.
    elements, out_bytes : float64 [N]
        Of all outputs.
    nest : float64 [N, L]
        :class:`~cost_model.loop_nest.LoopNest` of each op.
    weight : float64 [N]
        By which the anchor of a kernel is chosen: the largest.
    """

    kind: Int32
    sizes: Floats
    elements: Floats
    out_bytes: Floats
    nest: Floats
    weight: Floats


def op_table(graph: OpGraph) -> OpTable:
    """Describe every op; equal ops are looked at once."""
    sizes = _value_sizes(graph)
    produced = graph.value_op >= 0
    elements = sums(graph.value_op[produced], sizes[produced], graph.num_ops)
    out_bytes = sums(graph.value_op[produced], graph.value_bytes[produced], graph.num_ops)
    kind = np.array([_CLASS_OF.get(name, _OTHER) for name in graph.op_names], dtype=np.int32)[graph.op_name]
    shape = graph.value_type[:, 0]
    reads = np.zeros((graph.num_ops, 2), dtype=np.uint64)
    for position in (0, 1):
        has = np.diff(graph.use_start) > position
        reads[has, position] = shape[graph.use_value[graph.use_start[:-1][has] + position]]
    signature = np.stack([graph.op_hash[:, 0], reads[:, 0], reads[:, 1], shape[graph.op_first_value]], axis=1)
    _, first, which = np.unique(signature, axis=0, return_index=True, return_inverse=True)
    nests = np.array([_nest(graph, int(op)) for op in first], dtype=np.float64).reshape(-1, len(LOOP_NAMES))
    heavy = graph.pattern >= Pattern.REDUCTION
    weight = heavy * (1e6 + graph.flops) + elements / (1.0 + elements)
    return OpTable(kind, sizes, elements, out_bytes, nests[which.reshape(-1)], weight)


def kernel_features(graph: OpGraph, kernel: Int32, table: OpTable | None = None) -> Floats:
    """Features of each kernel of a partition, in the order of :data:`FEATURES`.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op, numbered 0..K-1.
    table : OpTable, optional
        Of the graph, where it is known already.

    Returns
    -------
    float64 [K, len(FEATURES)]
    """
    table = table or op_table(graph)
    starts, ops = members(kernel)
    count = len(starts) - 1
    if not count:
        return np.zeros((0, len(FEATURES)))

    def total(weights: NDArray[Any]) -> Floats:
        return sums(kernel, weights, count)

    rank = np.lexsort((-table.weight[ops], kernel[ops]))  # by kernel, the heaviest op first
    ranked = ops[rank]
    anchor = ranked[starts[:-1]]
    has_second = np.diff(starts) > 1
    second = ranked[np.where(has_second, starts[:-1] + 1, starts[:-1])]
    heavy = graph.pattern >= Pattern.REDUCTION
    after = np.arange(graph.num_ops) > anchor[kernel]
    light = ~heavy & ~graph.free
    most = np.maximum.reduceat(table.elements[ops], starts[:-1])
    io = _interface(graph, kernel, count, table.sizes)
    flops = total(graph.flops)
    inside = total(table.out_bytes) - io["bytes_out"]
    width = table.nest[:, LOOP_NAMES.index("width")]
    moved = io["bytes_in"] + io["bytes_out"]
    overall = {
        "ops": np.diff(starts),
        "anchors": total(heavy),
        "flops": flops,
        "bytes_inside": inside,
        "elements_most": most,
        "elements_before": total(table.elements * (light & ~after)),
        "elements_after": total(table.elements * (light & after)),
        "width": width[anchor],
        "narrowest": np.minimum.reduceat(width[ops], starts[:-1]),
        "flops_anchors": total(graph.flops * heavy),
        **io,
    }
    columns = [np.log2(flops + 1) - np.log2(moved + 1) if name == "intensity" else _log(overall[name])
               for name in _OVERALL]  # fmt: skip
    each = kernel.astype(np.int64) * len(KINDS) + table.kind
    size = count * len(KINDS)
    histogram = sums(each, np.ones(len(each)), size).reshape(count, -1)
    elements = sums(each, table.elements, size).reshape(count, -1)
    nest = table.nest[anchor]
    lanes_left = (nest[:, LOOP_NAMES.index("columns")] % 16) / 16
    extra = np.where(heavy[second] & has_second, 1.0, 0.0)[:, None]
    return np.column_stack(
        [
            *columns,
            histogram,
            _log(elements),
            np.eye(len(KINDS))[table.kind[anchor]],
            _log(nest),
            _log(graph.flops[anchor]),
            lanes_left,
            _log(table.nest[second]) * extra,
        ]
    )


def _interface(graph: OpGraph, kernel: Int32, count: int, sizes: Floats) -> dict[str, Floats]:
    """What kernels read and write, each value once."""
    into, value = crossing_reads(graph, kernel)
    read_bytes = graph.value_bytes[value].astype(np.float64)
    largest = np.zeros(count)
    np.maximum.at(largest, into, read_bytes)
    returned = np.flatnonzero(returned_values(graph, kernel))
    out_of = kernel[graph.value_op[returned]]
    small = read_bytes < largest[into]
    edges = graph.edge_use[kernel[graph.edge_src] == kernel[graph.edge_dst]]
    reads_inside = np.bincount(graph.use_value[edges], minlength=graph.num_values)
    shared = np.flatnonzero(reads_inside > 1)
    return {
        "inputs": sums(into, np.ones(len(into)), count),
        "outputs": sums(out_of, np.ones(len(out_of)), count),
        "bytes_in": sums(into, read_bytes, count),
        "bytes_out": sums(out_of, graph.value_bytes[returned], count),
        "bytes_largest_in": largest,
        "bytes_broadcast": sums(into[small], read_bytes[small], count),
        "elements_out": sums(out_of, sizes[returned], count),
        "shared": sums(kernel[graph.value_op[shared]], np.ones(len(shared)), count),
    }


def _value_sizes(graph: OpGraph) -> Floats:
    """Elements of each value."""
    logs = np.concatenate([[0.0], np.cumsum(np.log2(np.maximum(graph.shape_dims, 1)))])
    starts = graph.value_shape_start
    return np.asarray(np.round(np.exp2(logs[starts[1:]] - logs[starts[:-1]])))


def _nest(graph: OpGraph, op: int) -> tuple[float, ...]:
    uses = graph.use_value[graph.use_start[op] : graph.use_start[op + 1]][:2]
    shapes = [graph.shape(int(value)) for value in uses]
    output = graph.shape(int(graph.op_first_value[op]))
    return loop_nest(graph.name(op), graph.attr_texts[graph.op_attrs[op]], shapes, output).row()


def _log(values: NDArray[np.generic]) -> Floats:
    return np.asarray(np.log2(1.0 + np.asarray(values, dtype=np.float64)))
