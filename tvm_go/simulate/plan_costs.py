"""The makespan of a plan: kernels, layout changes and results as the ops of a simulated run, compiled for searches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tvm_go.copies import HOST
from tvm_go.graph import Int32, Int64, ValueKind
from tvm_go.simulate.costs import Costs
from tvm_go.simulate.executors.concurrent import concurrent_ms
from tvm_go.simulate.forms import Int8, is_changed, is_result_changed, layouts_of
from tvm_go.simulate.plan_kernels import PlanKernels, PlanView, kernels_of
from tvm_go.simulate.workload import Floats

_FIRST = 1e300  # priority of what takes no time, and of what the host does to results
_CONSTANT = int(ValueKind.CONSTANT)


class LayoutChanges(NamedTuple):
    """C layout changes; a value is changed at most once on each device.

    Attributes
    ----------
    value, device : int32 [C]
        What is changed, and where.
    before : int64 [C]
        The first kernel that needs it, ascending; K if only the results do.
    of : int32 [V, D]
        Change of each value on each device; -1 where there is none. Empty if there is none at all.
    """

    value: Int32
    device: Int32
    before: Int64
    of: Int32


class PlanRun(NamedTuple):
    """A plan as M ops of a simulated run.

    First inputs; then each kernel between the layout changes that it needs and, if there are several, its outputs; then
    layout changes of results, and the end.

    Attributes
    ----------
    costs : Costs
        The outputs of a kernel are in its colocation class, and layout changes in that of the first that needs them.
    device, priority : int32 [M], float64 [M]
    node : int64 [K]
        Op that each kernel is.
    """

    costs: Costs
    device: Int32
    priority: Floats
    node: Int64


@njit(cache=True, nogil=True)
def plan_ms(view: PlanView, form: Int32, device: Int32, kernel: Int32, level: Int64) -> float:
    """Makespan of a legal plan; ``inf`` if a device has too little memory. See `tvm_go.simulate.plans.WholePlan`."""
    run = plan_run(view, form, device, kernel, level)
    return concurrent_ms(run.costs, run.device, run.priority)


@njit(cache=True, nogil=True)
def _changes(view: PlanView, layout: Int8, device: Int32, kernels: PlanKernels) -> LayoutChanges:
    some = layout.any()
    of = np.full((len(kernels.leaves) if some else 0, len(view.launch_ms)), -1, dtype=np.int32)
    room = len(view.use_value) + len(view.output_values) if some else 0
    value_of, device_of = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
    before = np.empty(room, dtype=np.int64)
    count = 0
    for number in range(len(kernels.outputs) if room else 0):
        for place in range(kernels.start[number], kernels.start[number + 1]):
            op = kernels.ops[place]
            for use in range(view.use_start[op], view.use_start[op + 1]):
                value = view.use_value[use]
                constant = view.value_kind[value] == _CONSTANT
                if is_changed(view.forms, layout, view.value_op[value], constant, op) and of[value, device[op]] < 0:
                    of[value, device[op]] = count
                    value_of[count], device_of[count], before[count] = value, device[op], number
                    count += 1
    for value in view.output_values[: len(view.output_values) if room else 0]:
        if is_result_changed(view.forms, layout, view.value_op[value]) and of[value, HOST] < 0:
            of[value, HOST] = count
            value_of[count], device_of[count], before[count] = value, HOST, len(kernels.outputs)
            count += 1
    return LayoutChanges(value_of[:count], device_of[:count], before[:count], of)


@njit(cache=True, nogil=True)
def change_ms(view: PlanView, value: int, device: int) -> float:
    """Milliseconds of a layout change: read once, written once, by a launch of its own."""
    return 2 * view.value_bytes[value] / view.roofline_bytes_per_ms[device] + view.launch_ms[device]


@njit(cache=True, nogil=True)
def plan_run(view: PlanView, form: Int32, device: Int32, kernel: Int32, level: Int64) -> PlanRun:
    """Gather what is run of a legal plan."""
    kernels = kernels_of(view, form, kernel)
    layout = layouts_of(view.forms, form)
    changes = _changes(view, layout, device, kernels)
    leaves, outputs = kernels.leaves, kernels.outputs
    count, num_inputs, num_devices = len(outputs), len(view.inputs), len(view.launch_ms)
    node, change_node = np.empty(count, dtype=np.int64), np.empty(len(changes.value), dtype=np.int64)
    total, change = num_inputs, 0
    for number in range(count + 1):
        while change < len(change_node) and changes.before[change] == number:
            change_node[change] = total
            change += 1
            total += 1
        if number < count:
            node[number] = total
            total += 1 + (outputs[number] if outputs[number] > 1 else 0)
    sink = total
    total += 1
    value_node = np.full(len(leaves), -1, dtype=np.int64)
    fill = node + 1
    op_ms, resident_bytes, output_bytes = np.zeros((total, num_devices)), np.zeros(total), np.zeros(total)
    where, priority = np.full(total, HOST, dtype=np.int32), np.full(total, _FIRST)
    colocation = np.arange(total).astype(np.int32)
    for i in range(num_inputs):
        value_node[view.inputs[i]] = i
        output_bytes[i] = view.value_bytes[view.inputs[i]]
    for number in range(count):
        op_ms[node[number]] = kernels.ms[number]
        resident_bytes[node[number]] = kernels.resident_bytes[number]
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
                colocation[fill[number]] = node[number]
                fill[number] += 1
            else:
                value_node[value] = node[number]
            output_bytes[value_node[value]] = view.value_bytes[value]
    for change in range(len(change_node)):
        here, number = change_node[change], changes.before[change]
        where[here] = changes.device[change]
        output_bytes[here] = view.value_bytes[changes.value[change]]
        for d in range(num_devices):
            op_ms[here, d] = change_ms(view, changes.value[change], d)
        if number < count:
            priority[here] = -1.0  # as urgent as what needs it most, see below
            colocation[here] = node[number]
    room = len(view.use_value) + len(leaves) + len(view.output_values) + len(change_node)
    edge_src = np.empty(room, dtype=np.int32)
    edge_start = np.zeros(total + 1, dtype=np.int64)
    seen = np.full(total, -1, dtype=np.int64)
    edges, change = 0, 0
    for number in range(count + 1):
        while change < len(change_node) and changes.before[change] == number:
            edge_start[change_node[change]] = edges
            edge_src[edges] = value_node[changes.value[change]]
            edges += 1
            change += 1
        if number == count:
            break
        here = node[number]
        edge_start[here] = edges
        for place in range(kernels.start[number], kernels.start[number + 1]):
            op = kernels.ops[place]
            for use in range(view.use_start[op], view.use_start[op + 1]):
                value = view.use_value[use]
                source, maker = value_node[value], view.value_op[value]
                if source < 0 or (maker >= 0 and kernel[maker] == number):
                    continue
                if len(change_node) and is_changed(view.forms, layout, maker, False, op):
                    source = change_node[changes.of[value, device[op]]]
                    priority[source] = max(priority[source], priority[here])
                if seen[source] == here:
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
        if len(change_node) and is_result_changed(view.forms, layout, view.value_op[value]):
            source = change_node[changes.of[value, HOST]]
            priority[source] = _FIRST
        if source >= 0 and seen[source] != sink:
            seen[source] = sink
            edge_src[edges] = source
            edges += 1
    edge_src[edge_start[sink] : edges].sort()
    edge_start[total] = edges
    edge_src = edge_src[:edges].copy()
    reader_start, reader, reader_edge = _readers(edge_start, edge_src)
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
    return PlanRun(costs, where, priority, node)


@njit(cache=True, nogil=True)
def _readers(edge_start: Int64, edge_src: Int32) -> tuple[Int64, Int32, Int32]:
    """`Costs.reader_start`, `Costs.reader` and `Costs.reader_edge`."""
    total = len(edge_start) - 1
    reader_start = np.zeros(total + 1, dtype=np.int64)
    for edge in range(len(edge_src)):
        reader_start[edge_src[edge] + 1] += 1
    reader_start = np.cumsum(reader_start)
    reader, reader_edge = np.empty(len(edge_src), dtype=np.int32), np.empty(len(edge_src), dtype=np.int32)
    place_of = reader_start[:-1].copy()
    for op in range(total):
        for edge in range(edge_start[op], edge_start[op + 1]):
            place = place_of[edge_src[edge]]
            reader[place], reader_edge[place] = op, edge
            place_of[edge_src[edge]] += 1
    return reader_start, reader, reader_edge
