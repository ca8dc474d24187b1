"""Whatever can start earliest goes first, on the device where it can, as far as memory goes (m-ETF of Baechi)."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
from numba import njit

from tvm_go.graph import Int32
from tvm_go.search.placement._arrival import arrival_ms
from tvm_go.search.placement._construct import Classes, has_room, offer, roomiest
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.costs import Costs, longest_remaining_ms
from tvm_go.simulate.workload import Floats


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Memory-constrained earliest task first (Jeon et al., "Baechi: fast device placement of ML graphs", SoCC 2020).

    Of all ready ops and devices, the pair with the earliest start is taken; of ops that can start at one time, the one
    with the longest remaining path. The first op of a colocation class decides for the class, as in Baechi. The order
    of starts is the priority.
    """

    def plan(classes: Classes) -> tuple[Int32, Floats | None]:
        rank = longest_remaining_ms(classes.costs)
        home, start = _place(classes.costs, rank, classes.ms, classes.need_bytes, classes.memory_bytes)
        return home[problem.workload.colocation], -start

    offer(problem, plan)


@njit(cache=True, nogil=True)
def _place(
    costs: Costs, rank: Floats, class_ms: Floats, need_bytes: Floats, memory_bytes: Floats
) -> tuple[Int32, Floats]:
    """Device of each class, and start of each op. Two heaps for each device keep this at O((N + E) D log N).

    One holds ready ops whose data come later than the device is free, by their arrival; the other, ops that could start
    as soon as it is, by rank. An op that another device took is dropped when it comes to the top.
    """
    num_ops, num_devices = costs.op_ms.shape
    home = np.full(len(need_bytes), -1, dtype=np.int32)
    device_of = np.full(num_ops, -1, dtype=np.int32)
    start, finish = np.zeros(num_ops, dtype=np.float64), np.zeros(num_ops, dtype=np.float64)
    free = np.zeros(num_devices, dtype=np.float64)
    used = np.zeros(num_devices, dtype=np.float64)
    waiting = costs.edge_start[1:] - costs.edge_start[:-1]
    coming = [[(0.0, 0) for _ in range(0)] for _ in range(num_devices)]  # (arrival, op)
    here = [[(0.0, 0) for _ in range(0)] for _ in range(num_devices)]  # (-rank, op)
    fresh = [op for op in range(num_ops) if waiting[op] == 0]
    offers = np.zeros(num_ops, dtype=np.int32)  # heaps that an op stands in
    placed = 0
    while placed < num_ops:
        while len(fresh):
            op = fresh.pop()
            label = costs.colocation[op]
            for device in range(num_devices):
                if _may(label, device, home, used, class_ms, need_bytes, memory_bytes):
                    heappush(coming[device], (arrival_ms(costs, op, device, device_of, finish), op))
                    offers[op] += 1
            if offers[op] == 0:
                device = roomiest(class_ms[label], used, memory_bytes)
                home[label] = device
                used[device] += need_bytes[label]
                heappush(coming[device], (arrival_ms(costs, op, device, device_of, finish), op))
                offers[op] = 1
        earliest, chosen = np.inf, -1
        for device in range(num_devices):
            while len(coming[device]) and coming[device][0][0] <= free[device]:
                op = heappop(coming[device])[1]
                heappush(here[device], (-rank[op], op))
            for heap in (here[device], coming[device]):
                while len(heap):
                    op = heap[0][1]
                    if device_of[op] < 0:
                        if _may(costs.colocation[op], device, home, used, class_ms, need_bytes, memory_bytes):
                            break
                        offers[op] -= 1
                        if offers[op] == 0:  # others took the room while it waited
                            fresh.append(op)
                    heappop(heap)
            if len(here[device]):
                begin = free[device]
            elif len(coming[device]):
                begin = coming[device][0][0]
            else:
                continue
            if begin < earliest:
                earliest, chosen = begin, device
        if chosen < 0:
            continue
        op = heappop(here[chosen])[1] if len(here[chosen]) else heappop(coming[chosen])[1]
        label = costs.colocation[op]
        if home[label] < 0:
            home[label] = chosen
            used[chosen] += need_bytes[label]
        device_of[op], start[op] = chosen, earliest
        finish[op] = free[chosen] = earliest + costs.op_ms[op, chosen]
        placed += 1
        for i in range(costs.reader_start[op], costs.reader_start[op + 1]):
            reader = costs.reader[i]
            waiting[reader] -= 1
            if waiting[reader] == 0:
                fresh.append(reader)
    return home, start


@njit(cache=True, nogil=True)
def _may(
    label: int, device: int, home: Int32, used: Floats, class_ms: Floats, need_bytes: Floats, memory_bytes: Floats
) -> bool:
    """Whether a class is on a device, or may still go there."""
    if home[label] >= 0:
        return bool(home[label] == device)
    return has_room(class_ms[label, device], need_bytes[label], used[device], memory_bytes[device])
