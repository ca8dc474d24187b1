"""Longest remaining path first, each op to the device on which it finishes earliest (HEFT)."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.search.placement._arrival import arrival_ms
from tvm_go.search.placement._construct import Classes, has_room, offer, roomiest
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.costs import Costs, longest_remaining_ms
from tvm_go.simulate.workload import Floats


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """HEFT without insertion (Topcuoglu, Hariri and Wu, TPDS 2002, section 4); the upward rank also is the priority.

    The first op of a colocation class decides for the class; devices without room for it are left out. Transfers take
    their latency and bandwidth, and are taken not to wait for one another.
    """

    def plan(classes: Classes) -> tuple[Int32, Floats | None]:
        rank = longest_remaining_ms(classes.costs)
        order = np.argsort(-rank, kind="stable")
        return _place(classes.costs, order, classes.ms, classes.need_bytes, classes.memory_bytes), rank

    offer(problem, plan)


@njit(cache=True, nogil=True)
def _place(costs: Costs, order: Int64, class_ms: Floats, need_bytes: Floats, memory_bytes: Floats) -> Int32:
    num_ops, num_devices = costs.op_ms.shape
    home = np.full(len(need_bytes), -1, dtype=np.int32)
    device_of = np.empty(num_ops, dtype=np.int32)
    finish = np.empty(num_ops, dtype=np.float64)
    free = np.zeros(num_devices, dtype=np.float64)
    used = np.zeros(num_devices, dtype=np.float64)
    for op in order:
        label = costs.colocation[op]
        chosen = home[label]
        if chosen < 0:
            earliest = np.inf
            for device in range(num_devices):
                if has_room(class_ms[label, device], need_bytes[label], used[device], memory_bytes[device]):
                    start = max(free[device], arrival_ms(costs, op, device, device_of, finish))
                    if start + costs.op_ms[op, device] < earliest:
                        earliest, chosen = start + costs.op_ms[op, device], device
            if chosen < 0:
                chosen = roomiest(class_ms[label], used, memory_bytes)
            home[label] = chosen
            used[chosen] += need_bytes[label]
        device_of[op] = chosen
        start = max(free[chosen], arrival_ms(costs, op, chosen, device_of, finish))
        finish[op] = free[chosen] = start + costs.op_ms[op, chosen]
    return device_of
