"""Whole plans on simulated machines: devices, kernels and order of one graph, and what they take together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.copies import HOST
from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64, OpGraph, ValueKind
from tvm_go.legalize import encode, legalize
from tvm_go.rules import Rules
from tvm_go.simulate.costs import Costs
from tvm_go.simulate.executors.concurrent import concurrent_ms
from tvm_go.simulate.from_kernels import KernelWorkload, from_kernels
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.roofline import EFFICIENCY, DeviceSpec
from tvm_go.simulate.workload import Floats

Bools = NDArray[np.bool_]

_FIRST = 1e300  # priority of what takes no time: inputs, results, and single outputs of kernels
_CONSTANT = int(ValueKind.CONSTANT)


class WholePlan(NamedTuple):
    """Decisions for a graph of N ops and E edges after legalising.

    Attributes
    ----------
    device : int32 [N]
    kernel : int32 [N]
        In execution order; the ops of a kernel are on one device.
    level : int64 [N]
        Larger goes first; a kernel has the largest of its ops.
    """

    device: Int32
    kernel: Int32
    level: Int64


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


@dataclass(frozen=True, eq=False)
class PlannedGraph:
    """A graph, the machine that it is planned for, and what one kernel may hold there.

    A kernel takes what the roofline says of its arithmetic and of what it reads and writes outside, and one launch: to
    fuse saves the tensors in between, and launches. The first device is the host: inputs are there, results go there.

    Attributes
    ----------
    default : int32 [N]
        FuseOps' partition.
    specs : tuple of DeviceSpec
        Of each kind of device in the machine.
    """

    name: str
    graph: OpGraph
    default: Int32
    machine: Machine
    specs: tuple[DeviceSpec, ...]
    rules: Rules

    @cached_property
    def view(self) -> PlanView:
        graph, machine = self.graph, self.machine
        by_kind = {spec.kind: spec for spec in self.specs}
        missing = [device.kind for device in machine.devices if device.kind not in by_kind]
        if missing:
            raise UsageError(f"{machine.name}: no data sheet for devices of kind '{missing[0]}'; give one")
        devices = [by_kind[device.kind] for device in machine.devices]
        return PlanView(
            value_op=graph.value_op,
            value_kind=graph.value_kind,
            is_scalar=~np.isnan(graph.value_scalar),
            is_output=graph.is_output,
            value_bytes=graph.value_bytes.astype(np.float64),
            use_value=graph.use_value,
            use_start=graph.use_start,
            output_values=graph.output_values,
            inputs=np.flatnonzero(graph.value_kind == ValueKind.INPUT),
            flops=graph.flops,
            free=graph.free,
            flops_per_ms=np.array([EFFICIENCY * spec.flops_per_ms for spec in devices]),
            roofline_bytes_per_ms=np.array([EFFICIENCY * spec.bytes_per_ms for spec in devices]),
            launch_ms=np.array([spec.launch_ms for spec in devices]),
            memory_bytes=machine.memory_bytes,
            bytes_per_ms=machine.bytes_per_ms,
            latency_ms=machine.latency_ms,
            link=machine.link,
            overlap=machine.overlap,
        )

    @property
    def num_ops(self) -> int:
        return self.graph.num_ops

    def legal(self, device: NDArray[np.integer], merge: NDArray[np.integer], level: NDArray[np.integer]) -> WholePlan:
        """The legal plan that comes nearest to what was decided.

        Parameters
        ----------
        device : integer [N]
        merge : integer [E]
            0 to cut; of the other edges those of larger priority are merged first. Edges between devices are cut.
        level : integer [N]
        """
        graph = self.graph
        together = device[graph.edge_src] == device[graph.edge_dst]
        kernel = legalize(graph, np.where(together, merge, 0), self.rules)
        return WholePlan(device.astype(np.int32), kernel, level.astype(np.int64))

    def default_plan(self, device: NDArray[np.integer], level: int) -> WholePlan:
        """FuseOps' kernels in TVM's order, as far as they are on one device: int [N]."""
        merge = encode(self.graph, self.default)
        return self.legal(device, merge, np.full(self.num_ops, level))

    def milliseconds(self, plan: WholePlan) -> float:
        """Makespan under `tvm_go.simulate.executors.concurrent`; ``inf`` if a device has too little memory."""
        return float(_plan_ms(self.view, plan.device, plan.kernel, plan.level))

    def kernel_ms(self, kernel: Int32) -> Floats:
        """Milliseconds of each kernel of a partition on each device: float64 [K, D]."""
        return np.asarray(_kernels(self.view, kernel)[0])

    def workload(self, plan: WholePlan) -> tuple[KernelWorkload, Int32, Floats]:
        """The plan's kernels as a workload, to be shown in detail; its ops' devices, int32, and priorities, float64."""
        first = {device.kind: place for place, device in reversed(list(enumerate(self.machine.devices)))}
        kinds = tuple(sorted(first, key=first.__getitem__))
        ms = self.kernel_ms(plan.kernel)[:, [first[kind] for kind in kinds]]
        model = from_kernels(self.graph, plan.kernel, ms, kinds, self.name)
        _, device, priority = _costs(self.view, plan.device, plan.kernel, plan.level)
        return model, device, priority


def evaluate_plans(planned: PlannedGraph, plans: Sequence[WholePlan]) -> Floats:
    """Milliseconds of some plans: float64 [B]."""
    return np.array([planned.milliseconds(plan) for plan in plans], dtype=np.float64)


@njit(cache=True, nogil=True)
def _plan_ms(view: PlanView, device: Int32, kernel: Int32, level: Int64) -> float:
    costs, where, priority = _costs(view, device, kernel, level)
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
def _kernels(view: PlanView, kernel: Int32) -> tuple[Floats, Floats, Bools, Int64]:
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
def _costs(view: PlanView, device: Int32, kernel: Int32, level: Int64) -> tuple[Costs, Int32, Floats]:
    """What `from_kernels` and `costs_of` make of a plan; with the device and the priority of each of its ops."""
    kernel_ms, resident, leaves, outputs = _kernels(view, kernel)
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
