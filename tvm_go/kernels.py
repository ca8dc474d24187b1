"""Kernels of a partition: members, interfaces and structural keys, all kernels at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64, OpGraph

UInt64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Kernel:
    """The ops that become one primitive function, with its interface.

    Attributes
    ----------
    ops : tuple of int
        Members in topological order.
    inputs, outputs : tuple of int
        Values that become parameters (in order of first use) and values that are returned.
    """

    ops: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@njit(cache=True, nogil=True)
def members(kernel: Int32) -> tuple[Int64, Int32]:
    """Group ops by kernel; compiled code calls it as well. O(N).

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op, numbered 0..K-1.

    Returns
    -------
    starts : int64 [K + 1]
    ops : int32 [N]
        ``ops[starts[k]:starts[k + 1]]`` are the members of kernel ``k`` in topological order.
    """
    count = 0
    for op in range(len(kernel)):
        count = max(count, kernel[op] + 1)
    starts = np.zeros(count + 1, dtype=np.int64)
    for op in range(len(kernel)):
        starts[kernel[op] + 1] += 1
    starts = np.cumsum(starts)
    free, ops = starts[:-1].copy(), np.empty(len(kernel), dtype=np.int32)
    for op in range(len(kernel)):
        ops[free[kernel[op]]] = op
        free[kernel[op]] += 1
    return starts, ops


def returned_values(graph: OpGraph, kernel: Int32) -> NDArray[np.bool_]:
    """Values that leave the kernel which produces them: bool [V]."""
    result = graph.is_output & (graph.value_op >= 0)
    crossing = kernel[graph.edge_src] != kernel[graph.edge_dst]
    result[graph.use_value[graph.edge_use[crossing]]] = True
    return result


def crossing_reads(graph: OpGraph, kernel: Int32) -> tuple[Int64, Int64]:
    """What kernels read from outside, scalar constants apart: each pair of a reader and a value once, by kernel.

    Returns
    -------
    kernel, value : int64 [R]
    """
    reader, producer = kernel[graph.use_op], graph.value_op[graph.use_value]
    outside = np.isnan(graph.value_scalar[graph.use_value]) & ((producer < 0) | (kernel[producer] != reader))
    pairs = np.unique(reader[outside].astype(np.int64) * graph.num_values + graph.use_value[outside])
    return pairs // graph.num_values, pairs % graph.num_values


def describe(graph: OpGraph, ops: Int32, returned: NDArray[np.bool_]) -> Kernel:
    """Interface of one kernel.

    Parameters
    ----------
    ops : int32
        Members in topological order.
    returned : bool [V]
        From :func:`returned_values`.
    """
    inside = set(ops.tolist())
    inputs: dict[int, None] = {}
    outputs: list[int] = []
    for op in ops.tolist():
        for value in graph.use_value[graph.use_start[op] : graph.use_start[op + 1]].tolist():
            if graph.value_op[value] not in inside and np.isnan(graph.value_scalar[value]):
                inputs[value] = None
        outputs += [value for value in graph.outputs_of(op) if returned[value]]
    return Kernel(tuple(ops.tolist()), tuple(inputs), tuple(outputs))


def free_kernels(graph: OpGraph, kernel: Int32) -> NDArray[np.bool_]:
    """Kernels that only change a view (reshapes with one output): TVM's executors do not run them. bool [K]."""
    count = int(kernel.max(initial=-1)) + 1
    result = np.ones(count, dtype=np.bool_)
    result[kernel[~graph.free]] = False
    producers = graph.value_op[returned_values(graph, kernel)]
    outputs = np.bincount(kernel[producers], minlength=count)
    return result & (outputs == 1)


def paid_keys(graph: OpGraph, kernel: Int32) -> list[str]:
    """Key of each kernel; empty for those that cost nothing, or the same in every plan."""
    keys = kernel_keys(graph, kernel)
    starts, ops = members(kernel)
    for number in np.flatnonzero(free_kernels(graph, kernel) | graph.fixed[ops[starts[:-1]]]):
        keys[number] = ""
    return keys


def kernel_keys(graph: OpGraph, kernel: Int32) -> list[str]:
    """Structural hash of every kernel: equal for kernels with the same code, 32 hex digits each.

    Operators, attributes, types, scalars, wiring and the interface enter; the surroundings do not. Linear in uses.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op, numbered 0..K-1.
    """
    starts, ops = members(kernel)
    lanes = _hash_kernels(
        starts,
        ops,
        kernel,
        graph.op_hash,
        graph.value_type,
        graph.value_op,
        graph.value_index,
        graph.value_scalar.view(np.uint64),
        np.isnan(graph.value_scalar),
        returned_values(graph, kernel),
        graph.use_start,
        graph.use_value,
        graph.use_arg,
        graph.use_field,
        graph.op_first_value,
    )
    return [f"{a:016x}{b:016x}" for a, b in lanes.tolist()]


@njit(cache=True)
def _mix(h: np.uint64, x: np.uint64) -> np.uint64:
    """One round of splitmix64 over a running hash."""
    h = (h ^ x) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@njit(cache=True)
def _hash_kernels(
    starts: Int64,
    ops: Int32,
    kernel: Int32,
    op_hash: UInt64,
    value_type: UInt64,
    value_op: Int32,
    value_index: Int32,
    scalar_bits: UInt64,
    not_scalar: NDArray[np.bool_],
    returned: NDArray[np.bool_],
    use_start: Int64,
    use_value: Int32,
    use_arg: Int32,
    use_field: Int32,
    op_first_value: Int32,
) -> UInt64:
    count = len(starts) - 1
    lanes = np.empty((count, 2), dtype=np.uint64)
    local = np.zeros(len(kernel), dtype=np.int64)  # number of an op within its kernel
    seen_in = np.full(len(value_op), -1, dtype=np.int64)  # kernel that took the value as a parameter last
    parameter = np.zeros(len(value_op), dtype=np.int64)
    for k in range(count):
        a, b = np.uint64(0x74766D2D676F2031), np.uint64(0x6B65726E656C2031)
        parameters = 0
        for position in range(starts[k], starts[k + 1]):
            op = ops[position]
            local[op] = position - starts[k]
            a, b = _mix(a, op_hash[op, 0]), _mix(b, op_hash[op, 1])
            for use in range(use_start[op], use_start[op + 1]):
                value = use_value[use]
                producer = value_op[value]
                slot = np.uint64(use_arg[use]) * np.uint64(1 << 20) + np.uint64(use_field[use] + 1)
                a, b = _mix(a, slot), _mix(b, slot)
                if producer >= 0 and kernel[producer] == k:
                    source = np.uint64(1 << 40) + np.uint64(local[producer] << 16) + np.uint64(value_index[value])
                    a, b = _mix(a, source), _mix(b, source)
                elif not not_scalar[value]:
                    a, b = _mix(a, scalar_bits[value]), _mix(b, scalar_bits[value] ^ value_type[value, 1])
                else:
                    if seen_in[value] != k:
                        seen_in[value] = k
                        parameter[value] = parameters
                        parameters += 1
                        a, b = _mix(a, value_type[value, 0]), _mix(b, value_type[value, 0] ^ np.uint64(1))
                        a, b = _mix(a, value_type[value, 1]), _mix(b, value_type[value, 1] ^ np.uint64(1))
                    source = np.uint64(1 << 41) + np.uint64(parameter[value])
                    a, b = _mix(a, source), _mix(b, source)
            value = op_first_value[op]
            while value < len(value_op) and value_op[value] == op:
                a, b = _mix(a, value_type[value, 0]), _mix(b, value_type[value, 1])
                mark = np.uint64(returned[value]) + np.uint64(1 << 42)
                a, b = _mix(a, mark), _mix(b, mark)
                value += 1
        lanes[k, 0], lanes[k, 1] = a, b
    return lanes
