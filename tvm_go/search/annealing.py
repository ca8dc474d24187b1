"""Simulated annealing from the default partition: merge or cut one edge, or all edges that are alike.

If that is quicker, it starts from the partition in which neighbouring pointwise kernels are one; where an oracle
predicts, from the best one that predictions lead to.
"""

from __future__ import annotations

import numpy as np

from tvm_go.graph import Int32, Pattern
from tvm_go.search.foreseen import follow
from tvm_go.search.problem import Problem
from tvm_go.search.sites import edge_classes, moved

_MOVES_PER_BATCH = 8  # measured together, so that the builders have work
_START_TEMPERATURE = 0.01  # of the default's time
_END_TEMPERATURE = 0.0002
_BATCHES_WITHOUT_NEWS = 60  # that asked for no new kernel


def search(problem: Problem, rng: np.random.Generator) -> None:
    """Anneal until the budget is spent, or until the moves no longer lead to kernels that are not known.

    Predictions are doubted more before it ends: what an error makes look too slow is then measured as well.
    """
    kernel, cost = problem.default, problem.default_ms
    first, idle = problem.asked, 0
    pointwise = problem.merged(kernel, _pointwise_edges(problem, kernel))
    joined = problem.cost([pointwise])[0]
    if joined is not None and joined < cost:
        kernel, cost = pointwise, joined
    if problem.predicts():
        follow(problem)
        kernel, cost = problem.best, problem.best_ms
    while problem.graph.num_edges and not problem.exhausted:
        if idle >= _BATCHES_WITHOUT_NEWS:
            if not problem.doubt_more():
                break
            kernel, cost, idle = problem.best, problem.best_ms, 0
        before = problem.asked, problem.spent
        progress = min(1.0, (problem.asked - first) / max(problem.budget.kernels - first, 1))
        temperature = problem.default_ms * _START_TEMPERATURE * (_END_TEMPERATURE / _START_TEMPERATURE) ** progress
        classes = edge_classes(problem.graph, kernel)
        moves = [_draw(classes, rng) for _ in range(_MOVES_PER_BATCH)]
        costs = problem.cost([moved(problem, kernel, move) for move in moves])
        idle = 0 if (problem.asked, problem.spent) > before else idle + 1
        for move, alone in zip(moves, costs, strict=True):
            if alone is None:
                continue
            candidate = moved(problem, kernel, move)  # from where the moves before it have led
            other = problem.known_cost(candidate)
            if other - cost <= temperature * rng.exponential():  # Metropolis; nan (not measured) is refused
                kernel, cost = candidate, other


def _pointwise_edges(problem: Problem, kernel: Int32) -> Int32:
    """Edges between kernels without a reduction: what memory traffic they cost is the only thing to gain or lose."""
    graph = problem.graph
    heavy = np.zeros(int(kernel.max(initial=-1)) + 1, dtype=np.bool_)
    heavy[kernel[graph.pattern > Pattern.INJECTIVE]] = True
    source, reader = kernel[graph.edge_src], kernel[graph.edge_dst]
    return np.flatnonzero((source != reader) & ~heavy[source] & ~heavy[reader]).astype(np.int32)


def _draw(classes: Int32, rng: np.random.Generator) -> Int32:
    """An edge, or with it all that are alike."""
    edge = rng.integers(len(classes))
    if rng.random() < 0.5:
        return np.array([edge], dtype=np.int32)
    return np.flatnonzero(classes == classes[edge]).astype(np.int32)
