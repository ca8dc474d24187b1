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
_CLASSES = 256  # at most at a time, those of most edges: what a pass takes stays linear in the graph
_PAIRS = 128  # of classes that meet, at most, at a time


def follow(problem: Problem) -> None:
    """Measure the partition that is expected to be the best, and look again, until nothing better is expected.

    What was measured is known from then on, and what looked too good does not look so again.
    """
    for _ in range(_ROUNDS):
        wanted = foreseen(problem, problem.best)
        if problem.exhausted or np.array_equal(wanted, problem.best):
            return
        problem.cost([wanted])


def foreseen(problem: Problem, kernel: Int32) -> Int32:
    """Merge or cut all edges that are alike, the classes that are expected to gain most first, until none is.

    Where no class gains alone, two that meet at an op may.

    Parameters
    ----------
    kernel : int32 [N]
        Where to begin.
    """
    here_ms = problem.expected(kernel)
    while problem.graph.num_edges and not problem.exhausted:
        before_ms = here_ms
        classes = edge_classes(problem.graph, kernel)
        order = np.argsort(classes, kind="stable").astype(np.int32)
        alike = np.split(order, run_starts(classes[order], int(classes.max()) + 1)[1:-1])
        largest = np.sort(np.argsort([-len(edges) for edges in alike], kind="stable")[:_CLASSES])
        kernel, here_ms = _gainful(problem, kernel, here_ms, [alike[one] for one in largest])
        if here_ms == before_ms:
            pairs = neighbours(problem.graph.edge_src, problem.graph.edge_dst, classes)
            pairs = pairs[np.isin(pairs, largest).all(axis=1)][:_PAIRS]
            kernel, here_ms = _gainful(
                problem, kernel, here_ms, [np.concatenate([alike[a], alike[b]]) for a, b in pairs]
            )
        if here_ms == before_ms:
            break
    return kernel


def _gainful(problem: Problem, kernel: Int32, here_ms: float, moves: Sequence[Int32]) -> tuple[Int32, float]:
    """Make those moves that are expected to gain."""
    alone_ms = np.array(problem.expected_all([moved(problem, kernel, edges) for edges in moves]))
    return gainful(kernel, here_ms, alone_ms, lambda here, one: moved(problem, here, moves[one]), problem.expected)
