"""What happens when one placement runs: times, transfers, memory, what is busy, and what determines the makespan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvm_go.errors import PlanError, UsageError
from tvm_go.graph import Int32, Int64
from tvm_go.simulate.costs import MEMORY_TOLERANCE, Costs, costs_of
from tvm_go.simulate.executors.concurrent import run_concurrent
from tvm_go.simulate.executors.copies import Copies, copies_of
from tvm_go.simulate.executors.pipeline import run_pipeline
from tvm_go.simulate.executors.sequential import run_sequential
from tvm_go.simulate.executors.trace import Trace, new_trace
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.objectives import EXECUTORS, checked_devices, checked_priorities, default_priority
from tvm_go.simulate.workload import Floats, Workload


@dataclass(frozen=True)
class Transfers:
    """T tensors that moved: int32 and float64 [T], by producer and then by target."""

    producer: Int32
    source: Int32
    target: Int32
    start_ms: Floats
    finish_ms: Floats


@dataclass(frozen=True)
class MemoryChanges:
    """M times at which memory was taken (positive) or given back, in the order in which it happened: all [M]."""

    ms: Floats
    device: Int32
    size_bytes: Floats


@dataclass(frozen=True)
class Execution:
    """One placement of N ops on D devices with L links, as an executor ran it.

    Attributes
    ----------
    makespan_ms : float
        Under ``pipeline`` the period, and all times are those of the device's own period.
    start_ms, finish_ms : float64 [N]
    transfers : Transfers
    resident_bytes, peak_bytes, memory_bytes : float64 [D]
        What is there all the time; the most at any time, resident included; what the device has.
    memory_changes : MemoryChanges
    busy_fraction : float64 [D]
        Part of the makespan in which a device computes or, where transfers do not overlap computing, transfers.
    link_busy_fraction : float64 [L]
    critical_path : int64 [P]
        Ops that determine the makespan, in order: each starts when the one before it, or a transfer of its output or
        behind it in a queue, has ended. Under ``pipeline`` the ops of the busiest device, or those whose tensors travel
        over the busiest link if that has more to do.
    """

    makespan_ms: float
    start_ms: Floats
    finish_ms: Floats
    transfers: Transfers
    resident_bytes: Floats
    peak_bytes: Floats
    memory_bytes: Floats
    memory_changes: MemoryChanges
    busy_fraction: Floats
    link_busy_fraction: Floats
    critical_path: Int64

    @property
    def out_of_memory(self) -> dict[int, float]:
        """Bytes that are missing on each device that needs more than it has; empty if the placement is feasible."""
        over = self.peak_bytes > self.memory_bytes * (1 + MEMORY_TOLERANCE)
        return {int(d): float(self.peak_bytes[d] - self.memory_bytes[d]) for d in np.flatnonzero(over)}

    def memory_curve(self, device: int) -> tuple[Floats, Floats]:
        """Bytes in use on a device from each time on: float64 [K] milliseconds, not descending, and float64 [K]."""
        changes = self.memory_changes
        own = changes.device == device
        ms = np.concatenate([[0.0], changes.ms[own]])
        return ms, self.resident_bytes[device] + np.concatenate([[0.0], np.cumsum(changes.size_bytes[own])])


def execute(
    workload: Workload,
    machine: Machine,
    executor: str,
    device: NDArray[np.integer],
    priority: NDArray[np.floating] | None = None,
) -> Execution:
    """Run one placement, int [N], with priorities, float [N]; see `tvm_go.simulate.objectives.evaluate`.

    A placement that needs too much memory runs to its end all the same; see `Execution.out_of_memory`.

    Raises
    ------
    UsageError
        If the executor is unknown, a shape is wrong, a device does not exist, or a priority is not a number.
    PlanError
        If an op cannot run on its device, or a colocation class is split.
    """
    if executor not in EXECUTORS:
        raise UsageError(f"no executor '{executor}'; choose from {', '.join(EXECUTORS)}")
    where = checked_devices(workload, machine, np.asarray(device)[None])[0]
    costs = costs_of(workload, machine)
    if priority is None:
        first = default_priority(costs, executor)
    else:
        first = checked_priorities(np.asarray(priority)[None], (1, workload.num_ops))[0]
    _require_legal(workload, machine, costs, where)
    copies = copies_of(costs, where)
    trace = new_trace(costs, where, copies, True)
    resident = trace.used_bytes.copy()
    if executor == "sequential":
        makespan = run_sequential(costs, where, first, copies, trace)
    elif executor == "concurrent":
        makespan = run_concurrent(costs, where, first, copies, trace)
    else:
        makespan = run_pipeline(costs, where, copies, trace)
    own = copies.first[:-1]
    moved = np.setdiff1d(np.arange(len(copies.op)), own)
    transfers = Transfers(
        copies.op[moved], where[copies.op[moved]], copies.device[moved], trace.start_ms[moved], trace.finish_ms[moved]
    )
    changes = slice(int(trace.changes[0]))
    computing, transferring, links = _loads(costs, where, transfers)
    if executor == "pipeline":
        path = _busiest(costs, where, transfers, computing, transferring, links)
    else:
        path = _critical_path(copies, trace)
    busy = computing if machine.overlap else computing + transferring
    return Execution(
        makespan_ms=float(makespan),
        start_ms=trace.start_ms[own],
        finish_ms=trace.finish_ms[own],
        transfers=transfers,
        resident_bytes=resident,
        peak_bytes=trace.peak_bytes,
        memory_bytes=costs.memory_bytes,
        memory_changes=MemoryChanges(
            trace.change_ms[changes], trace.change_device[changes], trace.change_bytes[changes]
        ),
        busy_fraction=busy / makespan if makespan else np.zeros_like(busy),
        link_busy_fraction=links / makespan if makespan else np.zeros_like(links),
        critical_path=path,
    )


def _require_legal(workload: Workload, machine: Machine, costs: Costs, device: Int32) -> None:
    stuck = np.flatnonzero(~np.isfinite(costs.op_ms[np.arange(len(device)), device]))
    if len(stuck):
        op = int(stuck[0])
        raise PlanError(
            f"op {workload.op_ids[op]} cannot run on device {machine.devices[device[op]].name}; place it elsewhere"
        )
    starts, members = workload.class_members
    apart = np.flatnonzero(device[members] != device[np.repeat(members[starts[:-1]], np.diff(starts))])
    if len(apart):
        op = int(members[apart[0]])
        other = int(members[starts[workload.colocation[op]]])
        raise PlanError(
            f"ops {workload.op_ids[other]} and {workload.op_ids[op]} are of one colocation class but on devices "
            f"{machine.devices[device[other]].name} and {machine.devices[device[op]].name}; place them together"
        )


def _loads(costs: Costs, device: Int32, transfers: Transfers) -> tuple[Floats, Floats, Floats]:
    """Milliseconds that each device computes [D] and transfers [D], and that each link is in use [L]."""
    count = len(costs.memory_bytes)
    took = transfers.finish_ms - transfers.start_ms
    link = costs.link[transfers.source, transfers.target]
    computing, transferring, links = np.zeros(count), np.zeros(count), np.zeros(int(costs.link.max()) + 1)
    np.add.at(computing, device, costs.op_ms[np.arange(len(device)), device])
    np.add.at(transferring, transfers.source, took)
    np.add.at(transferring, transfers.target, took)
    np.add.at(links, link[link >= 0], took[link >= 0])
    return computing, transferring, links


def _critical_path(copies: Copies, trace: Trace) -> Int64:
    """From the op that finishes last back along what each op or transfer had to wait for."""
    own = copies.first[:-1]
    path = []
    copy = int(own[np.argmax(trace.finish_ms[own])]) if len(own) else -1
    while copy >= 0:
        if own[copies.op[copy]] == copy:
            path.append(int(copies.op[copy]))
        copy = int(trace.cause[copy])
    return np.array(path[::-1], dtype=np.int64)


def _busiest(
    costs: Costs, device: Int32, transfers: Transfers, computing: Floats, transferring: Floats, links: Floats
) -> Int64:
    """Ops on the device, or behind the link, that has most to do."""
    load = np.maximum(computing, transferring) if costs.overlap else computing + transferring
    if links.max(initial=0.0) > load.max():
        return np.unique(transfers.producer[costs.link[transfers.source, transfers.target] == np.argmax(links)])
    return np.flatnonzero(device == np.argmax(load))
