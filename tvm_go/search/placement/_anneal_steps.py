"""Annealing for latency, compiled: sets of ops move between the steps of accelerators and the host.

A set that makes accelerators wait for one another is refused outright, so most moves grow or shrink an accelerator's
set at its border or take a run of the topological order, which rarely closes a circle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64
from tvm_go.search.placement._xorshift import State, below, uniform
from tvm_go.simulate import Workload
from tvm_go.simulate.split_scores import SplitCosts, finish_ms
from tvm_go.simulate.workload import Floats

_OVERFLOW = 4.0  # of the latency, for memory exceeded by one whole device


class Groups(NamedTuple):
    """G groups of ops that move together, and what a split of them costs.

    Attributes
    ----------
    member_start, member : int64 [G + 1], int32 [N]
    beside_start, beside : int64 [G + 1], int32
        Groups that read from a group or are read by it.
    resident_bytes : float64 [G]
    memory_bytes : float64 [D]
    starts, readers : int64 [N + 1], int32 [E]
        Ops that read each op.
    op_ms, receive_ms, send_ms : float64 [N, D]
    is_host : bool [D]
    """

    member_start: Int64
    member: Int32
    beside_start: Int64
    beside: Int32
    resident_bytes: Floats
    memory_bytes: Floats
    starts: Int64
    readers: Int32
    op_ms: Floats
    receive_ms: Floats
    send_ms: Floats
    is_host: NDArray[np.bool_]


def groups_of(workload: Workload, costs: SplitCosts, group: Int32) -> Groups:
    """Group the ops of a workload: int32 [N], numbered from 0."""
    count = int(group.max(initial=-1)) + 1
    ends = np.stack([group[workload.edge_src], group[workload.edge_dst]], axis=1)
    ends = ends[ends[:, 0] != ends[:, 1]]
    ends = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
    order = np.argsort(group, kind="stable")
    return Groups(
        member_start=np.searchsorted(group[order], np.arange(count + 1)),
        member=order.astype(np.int32),
        beside_start=np.searchsorted(ends[:, 0], np.arange(count + 1)),
        beside=np.ascontiguousarray(ends[:, 1]),
        resident_bytes=np.bincount(group, workload.resident_bytes, count).astype(np.float64),
        memory_bytes=costs.memory_bytes,
        starts=workload.readers[0],
        readers=workload.readers[1],
        op_ms=costs.op_ms,
        receive_ms=costs.receive_ms,
        send_ms=costs.send_ms,
        is_host=costs.is_host,
    )


@njit(cache=True, nogil=True)
def _energy_ms(groups: Groups, device: Int32, on: Int32) -> tuple[float, float]:
    """What is minimised, and the latency, ``inf`` if memory does not suffice; ``on`` [N] is scratch."""
    used_bytes = np.zeros(len(groups.memory_bytes))
    for g in range(len(device)):
        used_bytes[device[g]] += groups.resident_bytes[g]
        for i in range(groups.member_start[g], groups.member_start[g + 1]):
            on[groups.member[i]] = device[g]
    over = 0.0
    for d in range(len(used_bytes)):
        if used_bytes[d] > groups.memory_bytes[d]:
            over += used_bytes[d] / max(groups.memory_bytes[d], 1.0) - 1
    value = finish_ms(
        on, groups.starts, groups.readers, groups.op_ms, groups.receive_ms, groups.send_ms, groups.is_host
    )
    return value * (1 + _OVERFLOW * over), np.inf if over > 0 else value


@njit(cache=True, nogil=True)
def _propose(groups: Groups, device: Int32, random: State) -> bool:
    """Change ``device`` by a random move; whether anything changed."""
    total, num_devices = len(device), len(groups.memory_bytes)
    one = below(random, total)
    here = device[one]
    first, last = groups.beside_start[one], groups.beside_start[one + 1]
    there = below(random, num_devices)
    if first < last and uniform(random) < 0.6:
        there = device[groups.beside[first + below(random, last - first)]]
    if here == there:
        return False
    kind = uniform(random)
    if kind < 0.45:
        device[one] = there
    elif kind < 0.6:  # with all that touch it
        device[one] = there
        device[groups.beside[first:last]] = there
    elif kind < 0.65:  # one device takes over what another had
        device[device == here] = there
    elif kind < 0.7:  # two devices exchange all they have
        for g in range(total):
            if device[g] == here or device[g] == there:
                device[g] = here + there - device[g]
    else:  # a run of the topological order: of one device, or whatever was there
        length = 1 + int(min(-np.log(1 - uniform(random)) * (4 if kind < 0.85 else total / 8), float(total)))
        only = uniform(random) < 0.5
        begin = one if uniform(random) < 0.5 else max(one + 1 - length, 0)
        for g in range(begin, min(begin + length, total)):
            if not only or device[g] == here:
                device[g] = there
    return True


@njit(cache=True, nogil=True)
def anneal_steps(
    groups: Groups, device: Int32, best: Int32, best_ms: float, random: State, moves: int, hot_ms: float, cold_ms: float
) -> float:
    """Anneal ``device`` [G] by so many moves; where its latency falls below ``best_ms``, copy it to ``best``.

    Returns the best latency.
    """
    on = np.empty(len(groups.member), dtype=np.int32)
    now_ms, value = _energy_ms(groups, device, on)
    if value < best_ms:
        best_ms = value
        best[:] = device
    before = device.copy()
    temperature_ms = hot_ms
    cooling = (cold_ms / hot_ms) ** (1 / max(moves, 1))
    for _ in range(moves):
        temperature_ms *= cooling
        if not _propose(groups, device, random):
            continue
        then_ms, value = _energy_ms(groups, device, on)
        if then_ms <= now_ms or uniform(random) < np.exp((now_ms - then_ms) / temperature_ms):
            now_ms = then_ms
            before[:] = device
            if value < best_ms:
                best_ms = value
                best[:] = device
        else:
            device[:] = before
    return best_ms
