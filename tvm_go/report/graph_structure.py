"""The structure that a scene shows of an OpGraph in kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvm_go.arrays import sums
from tvm_go.graph import Int32, Int64, OpGraph, Pattern, ValueKind, vocabulary
from tvm_go.kernels import crossing_reads, members, returned_values
from tvm_go.report.scene import CONSTANT, INPUT, Floats, Structure
from tvm_go.report.words import short

DEFAULT_FORM = "default"


def structure_of(graph: OpGraph, kernel: Int32, form: list[str]) -> Structure:
    """Ops sorted by kernel, with what they read, make and cost.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op, numbered in execution order.
    form : list of str [N]
        Form of each op, ``default`` for TVM's own.
    """
    starts, order = members(kernel)
    place, value_place = _op_places(kernel), value_places(graph, kernel)
    by_place = _inverse(value_place)
    made = graph.value_op >= 0
    owner = np.where(graph.value_kind == ValueKind.CONSTANT, CONSTANT, INPUT)
    owner[made] = place[graph.value_op[made]]
    reader = place[graph.use_op]
    by_reader = np.argsort(reader, kind="stable")
    types, value_type = _types(graph)
    names = tuple(map(short, graph.op_names))
    words, op_form = vocabulary(["" if name == DEFAULT_FORM else name for name in form])
    value_bytes = graph.value_bytes.astype(np.float64)
    return Structure(
        names=names,
        attrs=tuple("" if text == "{}" else text for text in graph.attr_texts),
        forms=words,
        types=types,
        op_start=starts.astype(np.int32),
        anchor=_anchors(starts, graph.pattern[order], graph.flops[order]),
        op_name=graph.op_name[order],
        op_attrs=graph.op_attrs[order],
        op_form=op_form[order],
        op_flops=graph.flops[order],
        op_bytes=_op_bytes(graph)[order],
        kernel_bytes=_kernel_bytes(graph, kernel),
        value_op=owner[by_place].astype(np.int32),
        value_type=value_type[by_place],
        value_bytes=value_bytes[by_place],
        use_start=np.searchsorted(reader[by_reader], np.arange(graph.num_ops + 1)).astype(np.int32),
        use_value=value_place[graph.use_value[by_reader]],
        placement=False,
    )


def value_places(graph: OpGraph, kernel: Int32) -> Int32:
    """Number of each value in a structure, where those of ops come first, by op; inputs; constants: int32 [V]."""
    made = graph.value_op >= 0
    owner = np.where(graph.value_kind == ValueKind.CONSTANT, CONSTANT, INPUT)
    last = graph.num_ops - owner  # inputs and constants come behind all ops
    last[made] = _op_places(kernel)[graph.value_op[made]]
    return _inverse(np.lexsort((graph.value_index, last)))


def _op_places(kernel: Int32) -> Int32:
    """Number of each op among those sorted by kernel: int32 [N]."""
    return _inverse(members(kernel)[1])


def _inverse(order: NDArray[np.integer]) -> Int32:
    inverse = np.empty(len(order), dtype=np.int32)
    inverse[order] = np.arange(len(order), dtype=np.int32)
    return inverse


def _anchors(starts: Int64, pattern: NDArray[np.int8], flops: Floats) -> Int32:
    """The op of each kernel with most arithmetic, of those of equal the heaviest pattern, then the first: int32 [K]."""
    kernel = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    weight = np.where(pattern == Pattern.OPAQUE, Pattern.OUT_FUSABLE, pattern)
    order = np.lexsort((np.arange(len(kernel)), -weight, -flops, kernel))
    return order[starts[:-1]].astype(np.int32)


def _types(graph: OpGraph) -> tuple[tuple[str, ...], Int32]:
    """Types of values as text, and the number of each value's: int32 [V]."""
    hashes = graph.value_type
    scalar = ~np.isnan(graph.value_scalar)
    mixed = hashes[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ hashes[:, 1]
    mixed[scalar] ^= graph.value_scalar[scalar].view(np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    _, first, number = np.unique(mixed, return_index=True, return_inverse=True)
    return tuple(_type_text(graph, int(value)) for value in first), number.reshape(-1).astype(np.int32)


def _type_text(graph: OpGraph, value: int) -> str:
    dtype = graph.dtypes[graph.value_dtype[value]]
    if not np.isnan(graph.value_scalar[value]):
        return f"{dtype} {graph.value_scalar[value]:g}"
    return f"{dtype}[{', '.join(map(str, graph.shape(value)))}]"


def _op_bytes(graph: OpGraph) -> Floats:
    size = graph.value_bytes.astype(np.float64)
    made = graph.value_op >= 0
    return sums(graph.use_op, size[graph.use_value], graph.num_ops) + sums(
        graph.value_op[made], size[made], graph.num_ops
    )


def _kernel_bytes(graph: OpGraph, kernel: Int32) -> Floats:
    """Bytes of what each kernel reads from outside, each value once, and of what it returns: float64 [K]."""
    count = int(kernel.max(initial=-1)) + 1
    size = graph.value_bytes.astype(np.float64)
    reader, value = crossing_reads(graph, kernel)
    returned = np.flatnonzero(returned_values(graph, kernel))
    read = sums(reader, size[value], count)
    return read + sums(kernel[graph.value_op[returned]], size[returned], count)
