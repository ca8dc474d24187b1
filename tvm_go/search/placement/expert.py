"""What a human does: cut the layers into contiguous parts of equal work, one for each accelerator."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from tvm_go.graph import Int32
from tvm_go.search.placement._construct import Classes, classes_of, has_room, offer, roomiest
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.need import parts_of_equal_need
from tvm_go.simulate.workload import Floats, Workload

_SLOWER = 2.0  # a device that takes so many times as long as the fastest is only for what runs nowhere else
_HALVINGS = 40


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Fill the fast devices one after another, in topological order, up to the least load that suffices.

    So were models placed by hand for the comparisons of Mirhoseini et al., "Device placement optimization with
    reinforcement learning", ICML 2017: whole layers to each device. Where only one device works at a time
    (``sequential``, ``latency``), a device is filled as far as its memory goes before the next one is used. Half of the
    devices, a quarter and so on are tried as well, for transfers may cost more than they gain. If nothing of that fits,
    the parts are of equal need instead.
    """
    one_at_a_time = problem.objective in ("sequential", "latency")
    count = len(fast_devices(classes_of(problem).ms))
    while count and not problem.exhausted:
        offer(problem, partial(_contiguous_parts, problem.workload, count, one_at_a_time))
        count //= 2
    if not np.isfinite(problem.best_value):
        offer(problem, lambda classes: (_equal_need(problem, classes), None))


def _contiguous_parts(
    workload: Workload, count: int, one_at_a_time: bool, classes: Classes
) -> tuple[Int32, Floats | None]:
    """A plan for the first of the fast devices, so many."""
    arguments = (classes.ms, classes.need_bytes, classes.memory_bytes, fast_devices(classes.ms)[:count])
    home = _fill(*arguments, np.inf)[0] if one_at_a_time else _balanced(*arguments)
    return home[workload.colocation], None


def _equal_need(problem: PlacementProblem, classes: Classes) -> Int32:
    fast = fast_devices(classes.ms)
    return fast[parts_of_equal_need(problem.workload, len(fast))]


def fast_devices(class_ms: Floats) -> Int32:
    """Devices that take at most `_SLOWER` times as long as the fastest for what they can run: int32, ascending."""
    runs = np.isfinite(class_ms)
    best = np.where(runs, class_ms, np.inf).min(axis=1, keepdims=True)
    ratio = np.where(runs, class_ms, 0.0).sum(axis=0) / np.maximum(np.where(runs, best, 0.0).sum(axis=0), 1e-300)
    ratio = np.where(runs.any(axis=0), ratio, np.inf)
    return np.flatnonzero(ratio <= _SLOWER * ratio.min()).astype(np.int32)


@njit(cache=True, nogil=True)
def _balanced(ms: Floats, need_bytes: Floats, memory_bytes: Floats, fast: Int32) -> Int32:
    """The parts of least largest load, found by bisection: O(C) for each halving."""
    low, high = 0.0, 0.0
    for label in range(len(ms)):
        most = 0.0
        for device in fast:
            if np.isfinite(ms[label, device]):
                most = max(most, ms[label, device])
        high += most
    best, _ = _fill(ms, need_bytes, memory_bytes, fast, np.inf)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        home, enough = _fill(ms, need_bytes, memory_bytes, fast, middle)
        if enough:
            best, high = home, middle
        else:
            low = middle
    return best


@njit(cache=True, nogil=True)
def _fill(ms: Floats, need_bytes: Floats, memory_bytes: Floats, fast: Int32, limit: float) -> tuple[Int32, bool]:
    """Device of each class; whether no fast device got more than the limit and all had room."""
    home = np.empty(len(ms), dtype=np.int32)
    used = np.zeros(ms.shape[1], dtype=np.float64)
    load = 0.0
    place, enough = 0, True
    for label in range(len(ms)):
        runs_fast = False
        for device in fast:
            runs_fast |= np.isfinite(ms[label, device])
        if not runs_fast:
            home[label] = np.argmin(ms[label])
            used[home[label]] += need_bytes[label]
            continue
        chosen = -1
        while place < len(fast):
            device = fast[place]
            fits = used[device] + need_bytes[label] <= memory_bytes[device]
            if fits and (load + ms[label, device] <= limit or not np.isfinite(ms[label, device])):
                chosen = device
                break
            place += 1
            load = 0.0
        if chosen < 0 or not np.isfinite(ms[label, chosen]):
            enough = enough and chosen >= 0
            chosen = -1
            for device in fast:  # what is left over when the last device is full fills the gaps
                if has_room(ms[label, device], need_bytes[label], used[device], memory_bytes[device]):
                    chosen = device
                    break
            if chosen < 0:
                chosen = roomiest(ms[label], used, memory_bytes)
        else:
            load += ms[label, chosen]
        home[label] = chosen
        used[chosen] += need_bytes[label]
    return home, enough
