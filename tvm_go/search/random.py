"""Random merge priorities, legalised."""

from __future__ import annotations

import numpy as np

from tvm_go.legalize import legalize
from tvm_go.search.problem import Problem

_LEVELS = 4
_MOST_IN_A_ROW = 1000


def search(problem: Problem, rng: np.random.Generator) -> None:
    """Draw partitions until the budget is spent, or until nothing new turns up.

    The share of cut edges is itself drawn for each partition: plans near the unfused and near the most fused one are
    as likely as those between.
    """
    for _ in range(_MOST_IN_A_ROW):
        cut_share = rng.random()
        priority = rng.integers(1, _LEVELS, size=problem.graph.num_edges)
        priority[rng.random(problem.graph.num_edges) < cut_share] = 0
        partition = legalize(problem.graph, priority, problem.rules)
        if problem.cost([partition])[0] is None:
            return
