"""The structure that a scene shows of an OpGraph in kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tvm_go.arrays import sums
from tvm_go.graph import Int32, Int64, OpGraph, Pattern, ValueKind, vocabulary
from tvm_go.kernels import crossing_reads, free_kernels, members, returned_values
from tvm_go.report.scene import CONSTANT, INPUT, Floats, Structure
from tvm_go.report.words import short
from tvm_go.simulate.kernel_tensors import KernelTensors
from tvm_go.simulate.peak_memory import live_bytes

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
    place = np.empty(graph.num_ops, dtype=np.int32)
    place[order] = np.arange(graph.num_ops, dtype=np.int32)
    made = graph.value_op >= 0
    owner = np.where(graph.value_kind == ValueKind.CONSTANT, CONSTANT, INPUT)
    owner[made] = place[graph.value_op[made]]
    last = np.where(made, owner, graph.num_ops - owner)  # inputs and constants come behind all ops
    by_owner = np.lexsort((graph.value_index, last))
    value_place = np.empty(graph.num_values, dtype=np.int32)
    value_place[by_owner] = np.arange(graph.num_values, dtype=np.int32)
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
        value_op=owner[by_owner].astype(np.int32),
        value_type=value_type[by_owner],
        value_bytes=value_bytes[by_owner],
        use_start=np.searchsorted(reader[by_reader], np.arange(graph.num_ops + 1)).astype(np.int32),
        use_value=value_place[graph.use_value[by_reader]],
        placement=False,
    )


def live_bytes_of(graph: OpGraph, kernel: Int32) -> Floats:
    """Bytes of the tensors that are alive while each kernel runs, in the plan's order: float64 [K]."""
    returned = returned_values(graph, kernel)
    count = int(kernel.max(initial=-1)) + 1
    made = np.flatnonzero(returned)
    made = made[np.argsort(kernel[graph.value_op[made]], kind="stable")]
    number = np.full(graph.num_values, -1, dtype=np.int64)
    number[made] = np.arange(len(made))
    reader = kernel[graph.use_op]
    producer = graph.value_op[graph.use_value]
    crossing = np.flatnonzero((producer >= 0) & (kernel[producer] != reader))
    crossing = crossing[np.argsort(reader[crossing], kind="stable")]
    tensors = KernelTensors(
        output_start=np.searchsorted(kernel[graph.value_op[made]], np.arange(count + 1)).astype(np.int64),
        output_bytes=graph.value_bytes[made],
        use_start=np.searchsorted(reader[crossing], np.arange(count + 1)).astype(np.int64),
        use_tensor=number[graph.use_value[crossing]].astype(np.int32),
        is_view=free_kernels(graph, kernel),
        returned=graph.is_output[made],
    )
    return live_bytes(tensors, np.arange(count, dtype=np.int32)).astype(np.float64)


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
