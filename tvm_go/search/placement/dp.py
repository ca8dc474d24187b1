"""Dynamic programs over contiguous splits.

First over runs of two topological orders, for any graph. For throughput then over all ideals of the graph where they
are few: that is the best contiguous split, one set for each device (Tarnawski et al., NeurIPS 2020). Splits that are
not contiguous may be better still. Where accelerators differ, the costs of the worst of them count.
"""

from __future__ import annotations

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.graph import Int32
from tvm_go.search.placement._chains import empty_chains, links
from tvm_go.search.placement._clusters import clusters_of, joined
from tvm_go.search.placement._ideals import bits, extend_by_ideals, ideals_of
from tvm_go.search.placement._order import renumbered
from tvm_go.search.placement._runs import link_devices, report_runs
from tvm_go.search.placement._set_costs import set_costs_of
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate import Workload
from tvm_go.simulate.split_scores import SplitCosts

_MOST_IDEALS = 20_000
_SLICE_VISITS = 2_000_000  # about 0.3 s


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Report the best split into runs and, for throughput, the best contiguous one; nothing here is random.

    Raises
    ------
    UsageError
        If the objective is neither throughput nor latency.
    """
    if problem.objective not in ("throughput", "latency"):
        raise UsageError(f"dp serves throughput and latency, not '{problem.objective}'; choose another strategy")
    report_runs(problem)
    if problem.objective == "throughput":
        _by_ideals(problem)


def _by_ideals(problem: PlacementProblem) -> None:
    workload, split_costs = problem.workload, SplitCosts.of(problem.workload, problem.machine)
    limit_ms = problem.best_value
    cluster = _folded(workload, joined(workload, split_costs, limit_ms))
    clusters = clusters_of(workload, split_costs, cluster)
    if len(clusters.op_ms) >= _MOST_IDEALS:  # even a chain has one ideal more than clusters
        return
    listed = ideals_of(clusters, _MOST_IDEALS)
    if listed is None:
        return
    ideals, members = listed
    costs = set_costs_of(clusters, split_costs.is_host)
    numbers = link_devices(split_costs)
    chains = empty_chains(len(members), len(numbers) - 1)
    done = 0
    while done < len(members):
        if problem.exhausted:
            return
        before, done = done, extend_by_ideals(ideals, costs, chains, done, _SLICE_VISITS, limit_ms)
        problem.evaluations += done - before
    device = np.empty(len(clusters.op_ms), dtype=np.int32)
    best = links(chains, False)
    for start, end, number in best:
        device[bits(members[end] ^ members[start])] = numbers[number]
    if best:
        problem.report(device[cluster], 1)


def _folded(workload: Workload, cluster: Int32) -> Int32:
    """Join ops that cost no time and read nothing, such as weights, to the cluster that alone reads them.

    Otherwise each may enter an ideal at any time, and ideals are as many as sets of weights.
    """
    idle = (workload.op_ms == 0).all(axis=1) & (np.diff(workload.producers[0]) == 0)
    free = np.bincount(cluster, ~idle) == 0  # clusters of such ops alone
    source, reader = cluster[workload.edge_src], cluster[workload.edge_dst]
    least, most = np.full((2, len(free)), -1, dtype=np.int32)
    least[source] = reader
    np.maximum.at(most, source, reader)
    np.minimum.at(least, source, reader)
    alone = free & (least == most) & (most >= 0)
    joint = np.where(alone, most, np.arange(len(free), dtype=np.int32))[cluster]
    return renumbered(workload, np.unique(joint, return_inverse=True)[1].reshape(-1).astype(np.int32))
