"""Where predictions lead: the partition that they expect to be the best is found without measuring, then measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvm_go.arrays import run_starts
from tvm_go.graph import Int32
from tvm_go.search.gains import gainful
from tvm_go.search.problem import Problem
from tvm_go.search.sites import edge_classes, moved, neighbours

_ROUNDS = 10  # of measuring what was foreseen
_HOPES = 8  # rounds of measuring what is hoped for,
_HOPEFUL = 2  # so many changes in each
_CLASSES = 256  # at most at a time, those of most edges: what a pass takes stays linear in the graph
_PAIRS = 512  # of classes that meet, at most, at a time


def follow(problem: Problem) -> None:
    """Measure the partition that is expected to be the best, and look again, until nothing better is expected.

    What was measured is known from then on, and what looked too good does not look so again. Then what looks too slow
    has its turn: those changes are measured that would gain most if predictions are off as far as is likely.
    """
    _follow_expectations(problem)
    for _ in range(_HOPES):
        best, spent = problem.best, problem.spent
        if problem.exhausted or not problem.graph.num_edges:
            return
        changed = [moved(problem, best, edges) for moves in _moves(problem, best) for edges in moves]
        least_ms = np.array(problem.least_all(changed))
        hopeful = np.argsort(least_ms, kind="stable")[:_HOPEFUL]
        problem.cost([changed[one] for one in hopeful if least_ms[one] < problem.best_ms])
        if problem.spent == spent:
            return
        if problem.best is not best:
            _follow_expectations(problem)


def _follow_expectations(problem: Problem) -> None:
    for _ in range(_ROUNDS):
        wanted = foreseen(problem, problem.best)
        if problem.exhausted or np.array_equal(wanted, problem.best):
            return
        problem.cost([wanted])


def foreseen(problem: Problem, kernel: Int32) -> Int32:
    """Merge or cut all edges that are alike, the classes that are expected to gain most first, until none is.

    Where no class gains alone, two that meet at a kernel may.

    Parameters
    ----------
    kernel : int32 [N]
        Where to begin.
    """
    here_ms = problem.expected(kernel)
    while problem.graph.num_edges and not problem.exhausted:
        before_ms = here_ms
        alike, pairs = _moves(problem, kernel)
        kernel, here_ms = _gainful(problem, kernel, here_ms, alike)
        if here_ms == before_ms:
            kernel, here_ms = _gainful(problem, kernel, here_ms, pairs)
        if here_ms == before_ms:
            break
    return kernel


def _moves(problem: Problem, kernel: Int32) -> tuple[list[Int32], list[Int32]]:
    """Edges of a class each, the largest classes, and edges of two of these that meet at a kernel."""
    graph = problem.graph
    classes = edge_classes(graph, kernel)
    order = np.argsort(classes, kind="stable").astype(np.int32)
    alike = np.split(order, run_starts(classes[order], int(classes.max()) + 1)[1:-1])
    largest = np.sort(np.argsort([-len(edges) for edges in alike], kind="stable")[:_CLASSES])
    pairs = neighbours(kernel[graph.edge_src], kernel[graph.edge_dst], classes)
    pairs = pairs[np.isin(pairs, largest).all(axis=1)][:_PAIRS]
    return [alike[one] for one in largest], [np.concatenate([alike[a], alike[b]]) for a, b in pairs]


def _gainful(problem: Problem, kernel: Int32, here_ms: float, moves: Sequence[Int32]) -> tuple[Int32, float]:
    """Make those moves that are expected to gain."""
    alone_ms = np.array(problem.expected_all([moved(problem, kernel, edges) for edges in moves]))
    return gainful(kernel, here_ms, alone_ms, lambda here, one: moved(problem, here, moves[one]), problem.expected)
