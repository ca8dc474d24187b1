"""What the kernels of a plan take on each device, and their makespan: compiled, for searches that try thousands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.copies import HOST
from tvm_go.graph import Int32, Int64, ValueKind
from tvm_go.simulate.costs import Costs
from tvm_go.simulate.executors.concurrent import concurrent_ms
from tvm_go.simulate.workload import Floats

Bools = NDArray[np.bool_]

_FIRST = 1e300  # priority of what takes no time: inputs, results, and single outputs of kernels
_CONSTANT = int(ValueKind.CONSTANT)


class PlanView(NamedTuple):
    """A graph of N ops, V values and U uses on D devices, as compiled functions read it; see `OpGraph` and `Costs`.

    Attributes
    ----------
    value_op, use_value, output_values : int32
    value_kind : int8 [V]
    is_scalar, is_output : bool [V]
    value_bytes, flops : float64 [V], [N]
    free : bool [N]
    use_start : int64 [N + 1]
    inputs : int64
        The graph's inputs among its values.
    flops_per_ms, roofline_bytes_per_ms, launch_ms : float64 [D]
        What kernels reach, not what data sheets promise.
    """

    value_op: Int32
    value_kind: NDArray[np.int8]
    is_scalar: Bools
    is_output: Bools
    value_bytes: Floats
    use_value: Int32
    use_start: Int64
    output_values: Int32
    inputs: Int64
    flops: Floats
    free: Bools
    flops_per_ms: Floats
    roofline_bytes_per_ms: Floats
    launch_ms: Floats
    memory_bytes: Floats
    bytes_per_ms: Floats
    latency_ms: Floats
    link: Int32
    overlap: bool


@njit(cache=True, nogil=True)
def plan_ms(view: PlanView, device: Int32, kernel: Int32, level: Int64) -> float:
    """Makespan of a legal plan; ``inf`` if a device has too little memory. See `tvm_go.simulate.plans.WholePlan`."""
    costs, where, priority = plan_costs(view, device, kernel, level)
    return concurrent_ms(costs, where, priority)


@njit(cache=True, nogil=True)
def _leaving(view: PlanView, kernel: Int32) -> Bools:
    """Values that leave the kernel which makes them: bool [V]; as `tvm_go.kernels.returned_values`."""
    leaves = view.is_output & (view.value_op >= 0)
    for op in range(len(kernel)):
        for use in range(view.use_start[op], view.use_start[op + 1]):
            value = view.use_value[use]
            maker = view.value_op[value]
            if maker >= 0 and kernel[maker] != kernel[op]:
                leaves[value] = True
    return leaves


@njit(cache=True, nogil=True)
def kernels_ms(view: PlanView, kernel: Int32) -> tuple[Floats, Floats, Bools, Int64]:
    """Of K kernels: milliseconds [K, D] and resident bytes [K]; which values leave [V], how many of each kernel [K]."""
    count = 0
    for op in range(len(kernel)):
        count = max(count, kernel[op] + 1)
    leaves = _leaving(view, kernel)
    flops, moved, resident = np.zeros(count), np.zeros(count), np.zeros(count)
    outputs = np.zeros(count, dtype=np.int64)
    free = np.ones(count, dtype=np.bool_)
    for value in range(len(leaves)):
        if leaves[value]:
            maker = kernel[view.value_op[value]]
            moved[maker] += view.value_bytes[value]
            outputs[maker] += 1
    start, ops = _members(kernel, count)
    seen = np.full(len(leaves), -1, dtype=np.int64)
    for number in range(count):
        for place in range(start[number], start[number + 1]):
            op = ops[place]
            flops[number] += view.flops[op]
            free[number] &= view.free[op]
            for use in range(view.use_start[op], view.use_start[op + 1]):
                value = view.use_value[use]
                maker = view.value_op[value]
                if seen[value] == number or view.is_scalar[value] or (maker >= 0 and kernel[maker] == number):
                    continue
                seen[value] = number
                moved[number] += view.value_bytes[value]
                if view.value_kind[value] == _CONSTANT:
                    resident[number] += view.value_bytes[value]
    ms = np.zeros((count, len(view.launch_ms)))
    for number in range(count):
        if free[number] and outputs[number] == 1:
            continue
        for d in range(len(view.launch_ms)):
            computing = flops[number] / view.flops_per_ms[d]
            ms[number, d] = max(computing, moved[number] / view.roofline_bytes_per_ms[d]) + view.launch_ms[d]
    return ms, resident, leaves, outputs


@njit(cache=True, nogil=True)
def _members(kernel: Int32, count: int) -> tuple[Int64, Int32]:
    """As `tvm_go.kernels.members`."""
    start = np.zeros(count + 1, dtype=np.int64)
    for op in range(len(kernel)):
        start[kernel[op] + 1] += 1
    start = np.cumsum(start)
    fill, ops = start[:-1].copy(), np.empty(len(kernel), dtype=np.int32)
    for op in range(len(kernel)):
        ops[fill[kernel[op]]] = op
        fill[kernel[op]] += 1
    return start, ops


@njit(cache=True, nogil=True)
def plan_costs(view: PlanView, device: Int32, kernel: Int32, level: Int64) -> tuple[Costs, Int32, Floats]:
    """What `from_kernels` and `costs_of` make of a plan; with the device and the priority of each of its ops."""
    kernel_ms, resident, leaves, outputs = kernels_ms(view, kernel)
    count, num_inputs, num_devices = len(kernel_ms), len(view.inputs), len(view.launch_ms)
    node = np.empty(count, dtype=np.int64)
    total = num_inputs
    for number in range(count):
        node[number] = total
        total += 1 + (outputs[number] if outputs[number] > 1 else 0)
    sink = total
    total += 1
    value_node = np.full(len(leaves), -1, dtype=np.int64)
    for i in range(num_inputs):
        value_node[view.inputs[i]] = i
    fill = node + 1
    op_ms, resident_bytes, output_bytes = np.zeros((total, num_devices)), np.zeros(total), np.zeros(total)
    where, priority = np.full(total, HOST, dtype=np.int32), np.full(total, _FIRST)
    colocation = np.arange(total).astype(np.int32)
    for i in range(num_inputs):
        output_bytes[i] = view.value_bytes[view.inputs[i]]
    for number in range(count):
        op_ms[node[number]] = kernel_ms[number]
        resident_bytes[node[number]] = resident[number]
        priority[node[number]] = -1.0
    for op in range(len(kernel)):
        number = kernel[op]
        where[node[number]] = device[op]
        priority[node[number]] = max(priority[node[number]], level[op] + 1.0 - number / count)
    for value in range(len(leaves)):
        if leaves[value]:
            number = kernel[view.value_op[value]]
            if outputs[number] > 1:
                value_node[value] = fill[number]
                where[fill[number]] = where[node[number]]
                fill[number] += 1
            else:
                value_node[value] = node[number]
            output_bytes[value_node[value]] = view.value_bytes[value]
    room = len(view.use_value) + len(leaves) + len(view.output_values)
    edge_src = np.empty(room, dtype=np.int32)
    edge_start = np.zeros(total + 1, dtype=np.int64)
    seen = np.full(total, -1, dtype=np.int64)
    starts, ops = _members(kernel, count)
    edges = 0
    for number in range(count):
        here = node[number]
        edge_start[here] = edges
        for place in range(starts[number], starts[number + 1]):
            op = ops[place]
            for use in range(view.use_start[op], view.use_start[op + 1]):
                value = view.use_value[use]
                source, maker = value_node[value], view.value_op[value]
                if source < 0 or (maker >= 0 and kernel[maker] == number) or seen[source] == here:
                    continue
                seen[source] = here
                edge_src[edges] = source
                edges += 1
        edge_src[edge_start[here] : edges].sort()
        for own in range(here + 1, fill[number]):
            edge_start[own] = edges
            edge_src[edges] = here
            edges += 1
    edge_start[sink] = edges
    for value in view.output_values:
        source = value_node[value]
        if source >= 0 and seen[source] != sink:
            seen[source] = sink
            edge_src[edges] = source
            edges += 1
    edge_src[edge_start[sink] : edges].sort()
    edge_start[total] = edges
    edge_src = edge_src[:edges].copy()
    reader_start = np.zeros(total + 1, dtype=np.int64)
    for edge in range(edges):
        reader_start[edge_src[edge] + 1] += 1
    reader_start = np.cumsum(reader_start)
    reader, reader_edge = np.empty(edges, dtype=np.int32), np.empty(edges, dtype=np.int32)
    place_of = reader_start[:-1].copy()
    for op in range(total):
        for edge in range(edge_start[op], edge_start[op + 1]):
            place = place_of[edge_src[edge]]
            reader[place], reader_edge[place] = op, edge
            place_of[edge_src[edge]] += 1
    costs = Costs(
        op_ms,
        resident_bytes,
        output_bytes,
        colocation,
        view.memory_bytes,
        view.bytes_per_ms,
        view.latency_ms,
        view.link,
        view.overlap,
        edge_start,
        edge_src,
        reader_start,
        reader,
        reader_edge,
    )
    return costs, where, priority
