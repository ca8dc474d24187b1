"""Ideals of a graph: sets of clusters that hold, with each cluster, all that it reads from. Best split along them.

Tarnawski et al., NeurIPS 2020, section 5.1.1: a contiguous split is a chain of ideals, each device holding the
difference of two neighbours in the chain.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.search.placement._chains import Chains, extend
from tvm_go.search.placement._clusters import Clusters
from tvm_go.search.placement._set_costs import SetCosts, accelerator_ms, empty_set, enter, host_ms, least_ms


class Ideals(NamedTuple):
    """S ideals, smaller ones first: number 0 is empty, the last is everything.

    Attributes
    ----------
    start : int64 [S + 1]
    without : int32
        For each ideal, the ideals that are smaller by one cluster.
    taken : int32
        That cluster.
    """

    start: Int64
    without: Int32
    taken: Int32


def ideals_of(clusters: Clusters, most: int) -> tuple[Ideals, list[int]] | None:
    """List all ideals, and the clusters of each as bits; None if there are more than ``most``.

    Clusters are numbered by their first op. A tensor that a cluster reads from a later one (where forward and backward
    ops are colocated) orders nothing.
    """
    count = len(clusters.op_ms)
    above = [0] * count  # clusters that read from this one, as bits
    needs = [0] * count
    makers = np.repeat(clusters.maker, np.diff(clusters.reader_start))
    for one, other in zip(makers.tolist(), clusters.reader.tolist(), strict=True):
        if one < other:
            above[one] |= 1 << other
            needs[other] |= 1 << one
    number = {0: 0}
    level = {0: sum(1 << c for c in range(count) if not needs[c])}  # ideals of one size, with what may enter them
    arcs: list[tuple[int, int, int]] = []
    while level:
        following: dict[int, int] = {}
        for ideal, may_enter in level.items():
            for c in bits(may_enter):
                larger = ideal | 1 << c
                if larger not in number:
                    if len(number) >= most:
                        return None
                    number[larger] = len(number)
                    ready = sum(1 << d for d in bits(above[c]) if not needs[d] & ~larger)
                    following[larger] = (may_enter ^ 1 << c) | ready
                arcs.append((number[larger], number[ideal], c))
        level = following
    table = np.array(sorted(arcs), dtype=np.int64).reshape(-1, 3)
    ideals = Ideals(
        start=np.searchsorted(table[:, 0], np.arange(len(number) + 1)),
        without=table[:, 1].astype(np.int32),
        taken=table[:, 2].astype(np.int32),
    )
    return ideals, list(number)


def bits(number: int) -> list[int]:
    """Positions of the ones."""
    result = []
    while number:
        lowest = number & -number
        result.append(lowest.bit_length() - 1)
        number ^= lowest
    return result


@njit(cache=True, nogil=True)
def extend_by_ideals(
    ideals: Ideals, costs: SetCosts, chains: Chains, first: int, most_visits: int, limit_ms: float
) -> int:
    """Find the best chains to each ideal from ``first`` on, until about so many pairs of ideals were looked at.

    Parameters
    ----------
    limit_ms : float
        A device that would take at least as long ends the way down from an ideal.

    Returns
    -------
    int
        The first ideal that is left to do.
    """
    count = len(ideals.start) - 1
    totals = empty_set(costs)
    seen = np.zeros(count, dtype=np.int64)
    path = np.empty(len(costs.work_ms) + 1, dtype=np.int64)  # ideals on the way down, and the next arc of each
    arc = np.empty(len(costs.work_ms) + 1, dtype=np.int64)
    visits = 0
    for top in range(first, count):
        if visits >= most_visits:
            return top
        totals.sums[:] = 0.0  # what rounding left
        depth = 0
        path[0], arc[0] = top, ideals.start[top]
        while depth >= 0:
            if arc[depth] == ideals.start[path[depth] + 1]:
                depth -= 1
                if depth >= 0:
                    enter(costs, totals, ideals.taken[arc[depth] - 1], -1)
                continue
            one, bottom = ideals.taken[arc[depth]], ideals.without[arc[depth]]
            arc[depth] += 1
            if seen[bottom] == top:
                continue
            seen[bottom] = top
            visits += 1
            enter(costs, totals, one, 1)
            if least_ms(costs, totals) >= limit_ms:
                enter(costs, totals, one, -1)
                continue
            extend(chains, bottom, top, accelerator_ms(costs, totals), host_ms(costs, totals), False)
            depth += 1
            path[depth], arc[depth] = bottom, ideals.start[bottom]
    return count
