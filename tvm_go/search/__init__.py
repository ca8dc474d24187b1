"""Searches for a partition: one file per strategy, all behind one function and one oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tvm_go.by_name import by_name
from tvm_go.errors import UsageError
from tvm_go.search import annealing, default, exact, go, greedy, random, unfused
from tvm_go.search.problem import Budget, Oracle, Problem

if TYPE_CHECKING:  # it brings torch and DGL, which only one strategy needs
    from tvm_go.policy import Checkpoint

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


def strategy(name: str, policy: str | Path | Checkpoint | None = None) -> Strategy:
    """A strategy by name.

    Parameters
    ----------
    policy : path or Checkpoint, optional
        For the strategy ``go``, instead of the one that comes with the package.

    Raises
    ------
    UsageError
        For an unknown name, a strategy that uses no policy, or a policy that cannot be used.
    """
    found = by_name(STRATEGIES, name, "strategy")
    if policy is None:
        return found
    if found is not go.search:
        raise UsageError(f"strategy '{name}' uses no policy; choose 'go' for that")
    return go.search_of(policy)


__all__ = ["STRATEGIES", "Budget", "Oracle", "Problem", "Strategy", "strategy"]
