"""What strategies that build one placement share: costs of classes, room on devices, how to offer a placement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from tvm_go.graph import Int32
from tvm_go.search.placement._contiguous import contiguous
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.costs import Costs, costs_of
from tvm_go.simulate.depth_first import depth_first
from tvm_go.simulate.need import bytes_at_peak
from tvm_go.simulate.split_scores import HOST
from tvm_go.simulate.workload import Floats

_SPLIT_OBJECTIVES = ("throughput", "latency")  # they count only what is resident
_SLACKS = (1.0, 0.5, 0.25, 0.1, 0.03)  # of the memory beyond an equal share for each device: what plans may use


@dataclass(frozen=True)
class Classes:
    """C colocation classes on D devices.

    Attributes
    ----------
    costs : Costs
        Of the ops.
    ms : float64 [C, D]
        ``inf`` where an op of the class cannot run.
    need_bytes : float64 [C]
        What a class counts for on its device.
    memory_bytes : float64 [D]
    """

    costs: Costs
    ms: Floats
    need_bytes: Floats
    memory_bytes: Floats


#: Given the classes, and the memory to plan with: device of each op, int32 [N], and perhaps priorities, float64 [N].
Plan = Callable[[Classes], tuple[Int32, Floats | None]]


def classes_of(problem: PlacementProblem) -> Classes:
    """Sums over the ops of each class."""
    workload, machine = problem.workload, problem.machine
    costs, label, count = costs_of(workload, machine), workload.colocation, workload.num_classes
    of_op = workload.resident_bytes if problem.objective in _SPLIT_OBJECTIVES else bytes_at_peak(workload)
    return Classes(
        costs=costs,
        ms=np.stack([np.bincount(label, weights=column, minlength=count) for column in costs.op_ms.T], axis=1),
        need_bytes=np.bincount(label, weights=of_op, minlength=count).astype(np.float64),
        memory_bytes=costs.memory_bytes,
    )


def offer(problem: PlacementProblem, plan: Plan) -> None:
    """Evaluate what is planned; if it is not feasible, plan again with less memory, down to equal shares.

    Under ``concurrent`` it is tried with its own priorities (or else the longest remaining path first) and depth first.
    Under ``latency`` it is first made contiguous.
    """
    classes = classes_of(problem)
    is_host = np.array([device.kind == HOST for device in problem.machine.devices])
    last: Int32 | None = None
    for slack in _SLACKS:
        planned = replace(classes, memory_bytes=_with_slack(classes, slack))
        device, priority = plan(planned)
        if problem.objective == "latency":
            device = contiguous(problem.workload, device, classes.ms, classes.need_bytes, classes.memory_bytes, is_host)
        if problem.exhausted:
            return
        if last is not None and np.array_equal(device, last):
            continue
        feasible = np.isfinite(problem.evaluate(device[None], None if priority is None else priority[None])[0])
        if problem.objective == "concurrent" and not problem.exhausted:
            feasible |= np.isfinite(problem.evaluate(device[None], depth_first(classes.costs)[None])[0])
        if feasible or not np.isfinite(classes.memory_bytes).any():
            return
        last = device


def _with_slack(classes: Classes, slack: float) -> Floats:
    """Memory to plan with: float64 [D]."""
    memory = classes.memory_bytes
    limited = np.isfinite(memory)
    equal = classes.need_bytes.sum() / max(int(limited.sum()), 1)
    least = np.minimum(memory, max(equal, float(classes.need_bytes.max(initial=0.0))))
    return np.where(limited, least + slack * (np.where(limited, memory, 0.0) - least), memory)


@njit(cache=True, nogil=True)
def has_room(ms: float, need_bytes: float, used_bytes: float, memory_bytes: float) -> bool:
    """Whether a class can run on a device, and fits beside what is there."""
    return np.isfinite(ms) and used_bytes + need_bytes <= memory_bytes


@njit(cache=True, nogil=True)
def roomiest(ms: Floats, used_bytes: Floats, memory_bytes: Floats) -> int:
    """Of the devices that can run a class, float64 [D], the one with most memory left, and then the quickest."""
    best = -1
    for device in range(len(ms)):
        if not np.isfinite(ms[device]):
            continue
        if best < 0:
            best = device
            continue
        free, most = memory_bytes[device] - used_bytes[device], memory_bytes[best] - used_bytes[best]
        if free > most or (free == most and ms[device] < ms[best]):
            best = device
    return max(best, 0)
