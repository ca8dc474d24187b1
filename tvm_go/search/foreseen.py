"""Where predictions lead: the partition that they expect to be the best is found without measuring, then measured."""

from __future__ import annotations

import numpy as np

from tvm_go.graph import Int32
from tvm_go.search.problem import Problem
from tvm_go.search.sites import edge_classes, moved

_ROUNDS = 10  # of measuring what was foreseen
_GAIN = 1e-3  # of the time: what a change must be expected to gain


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

    Parameters
    ----------
    kernel : int32 [N]
        Where to begin.
    """
    here_ms = problem.expected(kernel)
    while not problem.exhausted:
        before_ms = here_ms
        classes = edge_classes(problem.graph, kernel)
        moves = [np.flatnonzero(classes == one).astype(np.int32) for one in range(int(classes.max(initial=-1)) + 1)]
        alone = problem.expected_all([moved(problem, kernel, edges) for edges in moves])
        for one in np.argsort(alone, kind="stable").tolist():
            if not alone[one] < before_ms * (1 - _GAIN):
                break
            other = moved(problem, kernel, moves[one])  # from where the moves before it have led
            other_ms = problem.expected(other)
            if other_ms < here_ms * (1 - _GAIN):
                kernel, here_ms = other, other_ms
        if here_ms == before_ms:
            break
    return kernel
