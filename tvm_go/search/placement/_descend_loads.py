"""Steepest descent for throughput, compiled: every move of a cluster, then every exchange with the fullest device."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.search.placement._anneal_loads import energy_ms
from tvm_go.search.placement._clusters import Clusters, Loads, move

_PROGRESS = 1e-9  # of the energy; less is rounding


@njit(cache=True, nogil=True)
def descend(clusters: Clusters, loads: Loads, most_tries: int) -> tuple[int, bool]:
    """Change the loads until no move or exchange helps, or so many were tried (a step that has begun is finished).

    Returns
    -------
    tuple of int and bool
        How many were tried, and whether nothing helps any more.
    """
    tries = 0
    while tries < most_tries:
        tried, found = _best_move(clusters, loads)
        tries += tried
        if not found:
            tried, found = _best_exchange(clusters, loads)
            tries += tried
        if not found:
            return tries, True
    return tries, False


@njit(cache=True, nogil=True)
def _best_move(clusters: Clusters, loads: Loads) -> tuple[int, bool]:
    count, num_devices = clusters.op_ms.shape
    least_ms = energy_ms(loads, clusters.memory_bytes)[0] * (1 - _PROGRESS)
    chosen, target = -1, -1
    for one in range(count):
        here = loads.device[one]
        for there in range(num_devices):
            if there != here and np.isfinite(clusters.op_ms[one, there]):
                move(clusters, loads, one, there)
                value = energy_ms(loads, clusters.memory_bytes)[0]
                if value < least_ms:
                    least_ms, chosen, target = value, one, there
        move(clusters, loads, one, here)
    if chosen >= 0:
        move(clusters, loads, chosen, target)
    return count * (num_devices - 1), chosen >= 0


@njit(cache=True, nogil=True)
def _best_exchange(clusters: Clusters, loads: Loads) -> tuple[int, bool]:
    count = len(clusters.op_ms)
    full = np.argmax(loads.load_ms)
    least_ms = energy_ms(loads, clusters.memory_bytes)[0] * (1 - _PROGRESS)
    chosen, partner = -1, -1
    tries = 0
    for one in range(count):
        if loads.device[one] != full:
            continue
        for other in range(count):
            there = loads.device[other]
            if there == full:
                continue
            if not (np.isfinite(clusters.op_ms[one, there]) and np.isfinite(clusters.op_ms[other, full])):
                continue
            move(clusters, loads, one, there)
            move(clusters, loads, other, full)
            value = energy_ms(loads, clusters.memory_bytes)[0]
            if value < least_ms:
                least_ms, chosen, partner = value, one, other
            move(clusters, loads, other, there)
            move(clusters, loads, one, full)
            tries += 1
    if chosen >= 0:
        there = loads.device[partner]
        move(clusters, loads, chosen, there)
        move(clusters, loads, partner, full)
    return tries, chosen >= 0
