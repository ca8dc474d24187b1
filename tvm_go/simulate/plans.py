"""Whole plans on simulated machines: forms, devices, kernels and order of one graph, and what they take together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvm_go.copies import HOST
from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64, OpGraph, ValueKind
from tvm_go.legalize import encode, legalize
from tvm_go.rules import Rules
from tvm_go.simulate.forms import FORMS, Bools, edges_changed, form_view, layouts_of
from tvm_go.simulate.from_kernels import KernelWorkload
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.plan_costs import plan_ms, plan_run
from tvm_go.simulate.plan_kernels import PlanView, kernels_of
from tvm_go.simulate.roofline import EFFICIENCY, DeviceSpec
from tvm_go.simulate.workload import Floats, Workload


class WholePlan(NamedTuple):
    """Decisions for a graph of N ops and E edges after legalising.

    Attributes
    ----------
    form : int32 [N]
        Of each op, see `tvm_go.simulate.forms.FORMS`.
    device : int32 [N]
    kernel : int32 [N]
        In execution order; the ops of a kernel are on one device, and no tensor inside changes its layout.
    level : int64 [N]
        Larger goes first; a kernel has the largest of its ops.
    """

    form: Int32
    device: Int32
    kernel: Int32
    level: Int64


@dataclass(frozen=True, eq=False)
class PlannedGraph:
    """A graph, the machine that it is planned for, and what one kernel may hold there.

    A kernel takes what the roofline says of its arithmetic and of what it reads and writes outside, and one launch: to
    fuse saves the tensors in between, and launches. Where an op reads a tensor in another layout than that in which it
    was made, it is read and written once more on the reader's device, by a launch of its own. The first device is the
    host: inputs are there, results go there.

    Attributes
    ----------
    default : int32 [N]
        FuseOps' partition.
    specs : tuple of DeviceSpec
        Of each kind of device in the machine.
    reach : float64 [K, F]
        How near the roofline each of these kinds comes in each form of an op, relative to the usual one.
    """

    name: str
    graph: OpGraph
    default: Int32
    machine: Machine
    specs: tuple[DeviceSpec, ...]
    reach: Floats
    rules: Rules

    def __post_init__(self) -> None:
        if (
            self.reach.shape != (len(self.specs), len(FORMS))
            or not (self.reach > 0).all()
            or (self.reach[:, 0] != 1).any()
        ):
            raise UsageError(
                f"{self.name}: give a positive reach for each of {len(self.specs)} kinds of devices in each of "
                f"{len(FORMS)} forms, 1 in the first"
            )

    @cached_property
    def view(self) -> PlanView:
        graph, machine = self.graph, self.machine
        by_kind = {spec.kind: spec for spec in self.specs}
        missing = [device.kind for device in machine.devices if device.kind not in by_kind]
        if missing:
            raise UsageError(f"{machine.name}: no data sheet for devices of kind '{missing[0]}'; give one")
        devices = [by_kind[device.kind] for device in machine.devices]
        kinds = [spec.kind for spec in self.specs]
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
            forms=form_view(graph, self.reach[[kinds.index(spec.kind) for spec in devices]]),
        )

    @property
    def num_ops(self) -> int:
        return self.graph.num_ops

    def legal(
        self,
        form: NDArray[np.integer],
        device: NDArray[np.integer],
        merge: NDArray[np.integer],
        level: NDArray[np.integer],
    ) -> WholePlan:
        """The legal plan that comes nearest to what was decided.

        Parameters
        ----------
        form : integer [N]
            An op that does not have its form takes form 0.
        device : integer [N]
        merge : integer [E]
            0 to cut; of the other edges those of larger priority are merged first. Edges between devices, or at which
            the layout changes, are cut.
        level : integer [N]
        """
        graph = self.graph
        taken = np.zeros(self.num_ops, dtype=np.int32)
        merge = np.where(device[graph.edge_src] == device[graph.edge_dst], merge, 0)
        if not form.any():
            return WholePlan(taken, device.astype(np.int32), legalize(graph, merge, self.rules), level.astype(np.int64))
        has = self.view.forms.has
        known = np.flatnonzero((form > 0) & (form < has.shape[1]))
        taken[known] = np.where(has[known, form[known]], form[known], 0)
        changed = self.changed_edges(taken)
        merge[changed] = 0
        kernel = legalize(graph, merge, self.rules)
        while (met := changed & (kernel[graph.edge_src] == kernel[graph.edge_dst])).any():  # by way of other ops
            apart = np.isin(kernel, kernel[graph.edge_src[met]])
            merge = np.where(apart[graph.edge_src] & apart[graph.edge_dst], 0, merge)
            kernel = legalize(graph, merge, self.rules)
        return WholePlan(taken, device.astype(np.int32), kernel, level.astype(np.int64))

    def default_plan(self, device: NDArray[np.integer], level: int) -> WholePlan:
        """Usual forms, and FuseOps' kernels in TVM's order as far as they are on one device: int [N]."""
        merge = encode(self.graph, self.default)
        zeros = np.zeros(self.num_ops, dtype=np.int32)
        return self.legal(zeros, device, merge, np.full(self.num_ops, level))

    def changed_edges(self, form: Int32) -> Bools:
        """Edges whose reader wants another layout, by the forms of all ops, int32 [N]: bool [E]."""
        forms = self.view.forms
        return np.asarray(edges_changed(forms, layouts_of(forms, form), self.graph.edge_src, self.graph.edge_dst))

    def milliseconds(self, plan: WholePlan) -> float:
        """Makespan under `tvm_go.simulate.executors.concurrent`; ``inf`` if a device has too little memory."""
        return float(plan_ms(self.view, plan.form, plan.device, plan.kernel, plan.level))

    def kernel_ms(self, form: Int32, kernel: Int32) -> Floats:
        """Milliseconds of each kernel of a partition on each device: float64 [K, D]."""
        return np.asarray(kernels_of(self.view, form, kernel).ms)

    def workload(self, plan: WholePlan) -> tuple[KernelWorkload, Int32, Floats]:
        """The plan's kernels and layout changes as a workload, to be shown in detail.

        With the device of each of its ops, int32, and their priorities, float64.
        """
        first = {device.kind: place for place, device in reversed(list(enumerate(self.machine.devices)))}
        kinds = tuple(sorted(first, key=first.__getitem__))
        run = plan_run(self.view, plan.form, plan.device, plan.kernel, plan.level)
        costs = run.costs
        number = np.arange(len(run.device))
        at_host = costs.colocation == number  # what is no kernel: inputs and results
        at_host[run.node] = False
        op_ms = costs.op_ms.copy()
        op_ms[np.ix_(at_host, np.arange(len(self.machine.devices)) != HOST)] = np.inf
        workload = Workload.of(
            self.name,
            kinds,
            op_ms[:, [first[kind] for kind in kinds]],
            np.stack([costs.edge_src, np.repeat(number, np.diff(costs.edge_start))], axis=1),
            output_bytes=costs.output_bytes,
            resident_bytes=costs.resident_bytes,
            colocation=costs.colocation,
        )
        return KernelWorkload(workload, run.node.astype(np.int32)), run.device, run.priority
