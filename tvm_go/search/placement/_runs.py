"""Splits into runs of clusters in topological order: the best of them by a dynamic program over where to cut."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.search.placement._chains import Chains, empty_chains, extend, links
from tvm_go.search.placement._clusters import clusters_of
from tvm_go.search.placement._order import renumbered
from tvm_go.search.placement._set_costs import (
    SetCosts,
    accelerator_ms,
    empty_set,
    enter,
    host_ms,
    least_ms,
    set_costs_of,
)
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.split_scores import SplitCosts

_MOST_STEPS = 1e7  # cuts times clusters and their tensors: about a second
_FEWEST_CUTS, _MOST_CUTS = 64, 1000


def report_runs(problem: PlacementProblem) -> None:
    """Report the best splits into runs of the given order and of a depth-first one.

    Throughput is exact for such splits. For latency each run counts as waiting for the one before it, and the host's
    ops for one another; the split's own latency may be lower.
    """
    classes = problem.workload.colocation
    for cluster in (classes, renumbered(problem.workload, classes)):
        if not problem.exhausted:
            _report_runs_of(problem, cluster)


def link_devices(costs: SplitCosts) -> Int32:
    """Device of each link of a chain: the host, then the accelerators."""
    accelerators = np.flatnonzero(~costs.is_host)
    return np.concatenate([[np.argmax(costs.is_host)], accelerators]).astype(np.int32)


def _report_runs_of(problem: PlacementProblem, cluster: Int32) -> None:
    split_costs = SplitCosts.of(problem.workload, problem.machine)
    costs = set_costs_of(clusters_of(problem.workload, split_costs, cluster), split_costs.is_host)
    cuts = _cuts_of(costs)
    summed = problem.objective == "latency"
    limit_ms = np.inf if summed else problem.best_value
    numbers = link_devices(split_costs)
    chains = empty_chains(len(cuts), len(numbers) - 1)
    for start in range(len(cuts) - 1):
        if problem.exhausted:
            return
        _extend_by_runs(costs, cuts, chains, start, summed, limit_ms)
        problem.evaluations += 1
    device = np.empty(len(costs.work_ms), dtype=np.int32)
    best = links(chains, summed)
    for start, end, number in best:
        device[cuts[start] : cuts[end]] = numbers[number]
    if best:
        problem.report(device[cluster], 1)


def _cuts_of(costs: SetCosts) -> Int64:
    """Where runs may begin and end: at every cluster or, in a large graph, at equal shares of the work."""
    work_ms = np.where(costs.barred[:, 1], 0.0, costs.work_ms[:, 1])
    count = len(work_ms)
    most = int(np.clip(_MOST_STEPS / (count + len(costs.tensor) + 1), _FEWEST_CUTS, _MOST_CUTS))
    if count <= most:
        return np.arange(count + 1)
    total = np.cumsum(work_ms + 1e-12)
    inner = np.searchsorted(total, total[-1] * np.arange(1, most) / most)
    return np.unique(np.concatenate([[0], inner, [count]]))


@njit(cache=True, nogil=True)
def _extend_by_runs(costs: SetCosts, cuts: Int64, chains: Chains, start: int, summed: bool, limit_ms: float) -> None:
    """Try every run that begins at one cut as the next link of the chains.

    Chains must be complete up to this cut. Runs end before they cost more than the limit on both devices.
    """
    totals = empty_set(costs)
    for end in range(start + 1, len(cuts)):
        for one in range(cuts[end - 1], cuts[end]):
            enter(costs, totals, one, 1)
        if least_ms(costs, totals) > limit_ms:
            return
        extend(chains, start, end, accelerator_ms(costs, totals), host_ms(costs, totals), summed)
