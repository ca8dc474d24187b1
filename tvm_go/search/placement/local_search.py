"""Steepest descent from several starts: moves of one cluster, then exchanges of two; afterwards from shaken bests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tvm_go.graph import Int32
from tvm_go.search.placement._clusters import clusters_of, joined, loads_of
from tvm_go.search.placement._descend_loads import descend
from tvm_go.search.placement._starts import allowed, batch_rows, evaluate_starts, starts
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.split_scores import SplitCosts

_SLICE_TRIES = 200_000  # about 0.3 s
_SHAKEN = 0.05  # of the clusters are put anywhere
_BATCH = 128
_PATIENCE = 10  # batches without progress


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Descend until the budget is spent: compiled for throughput, else along the best of each batch of moves."""
    first = starts(problem.workload, problem.machine)
    evaluate_starts(problem, first)
    if problem.best_value == 0:
        return
    if problem.objective == "throughput":
        _by_loads(problem, first, rng)
    else:
        _by_batches(problem, first, rng)


def _by_loads(problem: PlacementProblem, first: Int32, rng: np.random.Generator) -> None:
    costs = SplitCosts.of(problem.workload, problem.machine)
    for device in _origins(problem, first, rng):
        cluster = joined(problem.workload, costs, problem.best_value)
        clusters = clusters_of(problem.workload, costs, cluster)
        here = device[np.unique(cluster, return_index=True)[1]]
        loads = loads_of(clusters, allowed(clusters.op_ms, here))
        finished = False
        while not finished and not problem.exhausted:
            left = problem.budget.evaluations - problem.evaluations
            tries, finished = descend(clusters, loads, min(_SLICE_TRIES, left))
            problem.report(loads.device[cluster], max(tries, 1))


def _by_batches(problem: PlacementProblem, first: Int32, rng: np.random.Generator) -> None:
    workload = problem.workload
    for device in _origins(problem, first, rng):
        here = device[workload.class_first]
        value, idle = float("inf"), 0
        while idle < _PATIENCE and not problem.exhausted:
            moved = _neighbours(here, batch_rows(workload, _BATCH), problem.machine.num_devices, rng)
            moved = moved[: problem.budget.evaluations - problem.evaluations]
            values = problem.evaluate(np.ascontiguousarray(moved[:, workload.colocation]), problem.shared_priorities)
            one = int(np.argmin(values))
            idle = 0 if values[one] < value else idle + 1
            if values[one] < value:
                here, value = moved[one], float(values[one])


def _origins(problem: PlacementProblem, first: Int32, rng: np.random.Generator) -> Iterator[Int32]:
    """Where to descend from, without end while the budget lasts: the best known, the starts, then shaken bests."""
    if len(problem.best):
        yield problem.best
    for device in first:
        if problem.exhausted:
            return
        yield device
    labels = problem.workload.colocation
    while not problem.exhausted:
        device = problem.best if len(problem.best) else first[rng.integers(len(first))]
        anywhere = rng.integers(0, problem.machine.num_devices, problem.workload.num_classes).astype(np.int32)
        shaken = rng.random(problem.workload.num_classes) < _SHAKEN
        yield np.where(shaken[labels], anywhere[labels], device)


def _neighbours(device: Int32, num_rows: int, num_devices: int, rng: np.random.Generator) -> Int32:
    """Random moves of one class, anywhere or to where a class of a near number is, and exchanges: int32 [B, C]."""
    count = len(device)
    rows = np.arange(num_rows)
    one, other = rng.integers(count, size=(2, num_rows))
    near = np.clip(one + rng.integers(-3, 4, num_rows), 0, count - 1)
    result = np.repeat(device[None], num_rows, axis=0)
    kind = rng.integers(3, size=num_rows)
    result[rows, one] = np.choose(kind, [rng.integers(num_devices, size=num_rows), device[near], device[other]])
    result[rows[kind == 2], other[kind == 2]] = device[one[kind == 2]]
    return result
