"""Deal colocation classes to the devices in turn, where there is room."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32
from tvm_go.search.placement._construct import Classes, has_room, offer, roomiest
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.workload import Floats


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Class after class in topological order, each to the device after the last one's: the baseline without thought."""

    def plan(classes: Classes) -> tuple[Int32, Floats | None]:
        home = _deal(classes.ms, classes.need_bytes, classes.memory_bytes)
        return home[problem.workload.colocation], None

    offer(problem, plan)


@njit(cache=True, nogil=True)
def _deal(ms: Floats, need_bytes: Floats, memory_bytes: Floats) -> Int32:
    count, num_devices = ms.shape
    home = np.empty(count, dtype=np.int32)
    used = np.zeros(num_devices, dtype=np.float64)
    turn = 0
    for label in range(count):
        chosen = -1
        for k in range(num_devices):
            device = (turn + k) % num_devices
            if has_room(ms[label, device], need_bytes[label], used[device], memory_bytes[device]):
                chosen = device
                break
        if chosen < 0:
            chosen = roomiest(ms[label], used, memory_bytes)
        home[label] = chosen
        used[chosen] += need_bytes[label]
        turn = chosen + 1
    return home
