"""Searches for a partition: one file per strategy, all behind one function and one oracle."""

from collections.abc import Callable

import numpy as np

from tvm_go.by_name import by_name
from tvm_go.search import annealing, default, exact, go, greedy, random, unfused
from tvm_go.search.problem import Budget, Oracle, Problem

#: A strategy asks ``problem`` for costs until it is done or the budget is; the problem keeps the best partition.
Strategy = Callable[[Problem, np.random.Generator], None]

STRATEGIES: dict[str, Strategy] = {
    "default": default.search,
    "unfused": unfused.search,
    "random": random.search,
    "greedy": greedy.search,
    "annealing": annealing.search,
    "exact": exact.search,
    "go": go.search,
}


def strategy(name: str) -> Strategy:
    """A strategy by name.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    return by_name(STRATEGIES, name, "strategy")


__all__ = ["STRATEGIES", "Budget", "Oracle", "Problem", "Strategy", "strategy"]
