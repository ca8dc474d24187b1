"""Whole plans on simulated machines: devices, kernels and order of one graph, and what they take together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64, OpGraph, ValueKind
from tvm_go.legalize import encode, legalize
from tvm_go.rules import Rules
from tvm_go.simulate.from_kernels import KernelWorkload, from_kernels
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.plan_costs import PlanView, kernels_ms, plan_costs, plan_ms
from tvm_go.simulate.roofline import EFFICIENCY, DeviceSpec
from tvm_go.simulate.workload import Floats


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
        return float(plan_ms(self.view, plan.device, plan.kernel, plan.level))

    def kernel_ms(self, kernel: Int32) -> Floats:
        """Milliseconds of each kernel of a partition on each device: float64 [K, D]."""
        return np.asarray(kernels_ms(self.view, kernel)[0])

    def workload(self, plan: WholePlan) -> tuple[KernelWorkload, Int32, Floats]:
        """The plan's kernels as a workload, to be shown in detail; its ops' devices, int32, and priorities, float64."""
        first = {device.kind: place for place, device in reversed(list(enumerate(self.machine.devices)))}
        kinds = tuple(sorted(first, key=first.__getitem__))
        ms = self.kernel_ms(plan.kernel)[:, [first[kind] for kind in kinds]]
        model = from_kernels(self.graph, plan.kernel, ms, kinds, self.name)
        _, device, priority = plan_costs(self.view, plan.device, plan.kernel, plan.level)
        return model, device, priority
