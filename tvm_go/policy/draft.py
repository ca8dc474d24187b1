"""What the policy sees of a draft: a whole placement to improve on, and what happens when it runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.policy.inputs import Float32
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.costs import Costs, costs_of, transfer_ms
from tvm_go.simulate.execution import Execution, execute
from tvm_go.simulate.graph_file import SIMULATED
from tvm_go.simulate.objectives import EXECUTORS
from tvm_go.simulate.workload import Floats

DRAFT_OP_FEATURES, DRAFT_PAIR_FEATURES = 4, 2
_BINS = 128  # of the makespan
_FAR = 100.0  # times an op's mean time: what could start so much earlier or later is as far


class Draft(NamedTuple):
    """A placement of N ops in C classes that is to be improved.

    Attributes
    ----------
    device : int32 [N]
        Feasible.
    priority : float64 [N] or [0]
        Larger goes first; if empty, the objective's default holds.
    """

    device: Int32
    priority: Floats


def no_draft(num_ops: int, num_devices: int) -> tuple[Float32, Float32]:
    """The features of graphs that come without one."""
    return (
        np.zeros((num_ops, DRAFT_OP_FEATURES), dtype=np.float32),
        np.zeros((num_ops, num_devices, DRAFT_PAIR_FEATURES), dtype=np.float32),
    )


def draft_features(workload: Workload, machine: Machine, objective: str, draft: Draft) -> tuple[Float32, Float32]:
    """Features float32 [N, DRAFT_OP_FEATURES] of ops and [N, D, DRAFT_PAIR_FEATURES] of ops and devices.

    Of an op: 1, when it starts, how much later it could start, as shares of the makespan, and whether it is critical.
    Of an op and a device: by how many mean times of an op it could start earlier or later there, for its inputs; and
    how idle the device is while the op runs. Under a pipeline, where nothing has a time: how idle its device and each
    device is in a period.
    """
    executor = objective if objective in EXECUTORS else SIMULATED[objective]
    ran = execute(workload, machine, executor, draft.device, draft.priority if len(draft.priority) else None)
    costs = costs_of(workload, machine)
    makespan_ms = ran.makespan_ms or 1.0
    op = np.zeros((workload.num_ops, DRAFT_OP_FEATURES), dtype=np.float32)
    pair = np.zeros((workload.num_ops, machine.num_devices, DRAFT_PAIR_FEATURES), dtype=np.float32)
    op[:, 0] = 1
    op[ran.critical_path, 3] = 1
    if executor == "pipeline":
        op[:, 2] = 1 - ran.busy_fraction[draft.device]
        pair[:, :, 1] = 1 - ran.busy_fraction
        return op, pair
    order = np.argsort(ran.finish_ms, kind="stable")
    op[:, 1] = ran.start_ms / makespan_ms
    op[:, 2] = (_latest_finish(costs, draft.device, ran.start_ms, ran.finish_ms, order) - ran.finish_ms) / makespan_ms
    mean_ms = max(float((ran.finish_ms - ran.start_ms).mean()), 1e-300)
    ready_ms = _ready(costs, draft.device, ran.finish_ms)
    earlier = np.clip((ready_ms - ran.start_ms[:, None]) / mean_ms, -_FAR, _FAR)
    pair[:, :, 0] = np.sign(earlier) * np.log1p(np.abs(earlier)) / 2
    pair[:, :, 1] = _idle(ran, draft.device, machine.num_devices, makespan_ms)
    return op, pair


def _idle(ran: Execution, device: Int32, num_devices: int, makespan_ms: float) -> Floats:
    """Share of the time in which an op runs, and a little around it, that each device is idle: float64 [N, D]."""
    width_ms = makespan_ms / _BINS
    done = np.zeros((num_devices, _BINS + 1))
    edges_ms = np.arange(_BINS + 1) * width_ms
    for d in range(num_devices):
        own = np.flatnonzero(device == d)
        if not len(own):
            continue
        own = own[np.argsort(ran.start_ms[own], kind="stable")]
        start, finish = ran.start_ms[own], ran.finish_ms[own]
        total = np.concatenate([[0.0], np.cumsum(finish - start)])
        begun = np.searchsorted(start, edges_ms, side="right")
        ahead = np.where(begun > 0, np.maximum(finish[np.maximum(begun - 1, 0)] - edges_ms, 0.0), 0.0)
        done[d] = total[begun] - ahead
    first = np.clip((ran.start_ms / width_ms).astype(np.int64) - 1, 0, _BINS - 1)
    last = np.clip((ran.finish_ms / width_ms).astype(np.int64) + 2, first + 1, _BINS)
    return 1 - ((done[:, last] - done[:, first]) / ((last - first) * width_ms)).T


@njit(cache=True, nogil=True)
def _ready(costs: Costs, device: Int32, finish_ms: Floats) -> Floats:
    """When all inputs of an op could be on each device: float64 [N, D]; O(E D)."""
    count = len(costs.memory_bytes)
    ready = np.zeros((len(device), count))
    for op in range(len(device)):
        for k in range(costs.edge_start[op], costs.edge_start[op + 1]):
            producer = costs.edge_src[k]
            for target in range(count):
                there = finish_ms[producer]
                if device[producer] != target:
                    there += transfer_ms(costs, producer, device[producer], target)
                ready[op, target] = max(ready[op, target], there)
    return ready


@njit(cache=True, nogil=True)
def _latest_finish(costs: Costs, device: Int32, start_ms: Floats, finish_ms: Floats, order: Int64) -> Floats:
    """When each op must have ended if nothing may end later than now: float64 [N].

    Backwards over what reads it, and over what its device does next.
    """
    end = finish_ms.max() if len(finish_ms) else 0.0
    latest = np.full(len(device), end)
    next_start = np.full(len(costs.memory_bytes), end)
    for i in range(len(order) - 1, -1, -1):
        op = order[i]
        limit = next_start[device[op]]
        for k in range(costs.reader_start[op], costs.reader_start[op + 1]):
            reader = costs.reader[k]
            start = latest[reader] - (finish_ms[reader] - start_ms[reader])
            if device[reader] != device[op]:
                start -= transfer_ms(costs, op, device[op], device[reader])
            limit = min(limit, start)
        latest[op] = max(limit, finish_ms[op])
        next_start[device[op]] = latest[op] - (finish_ms[op] - start_ms[op])
    return latest
