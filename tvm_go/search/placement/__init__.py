"""Searches for a placement of a workload with known costs: one file per strategy."""

from collections.abc import Callable

import numpy as np

from tvm_go.by_name import by_name
from tvm_go.search.placement import annealing, dp, go, hdp, local_search, milp, min_cut, portfolio
from tvm_go.search.placement.portfolio import QUICK, UNLIMITED
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem, Step

#: A strategy evaluates placements until it is done or the budget is; the problem keeps the best.
Strategy = Callable[[PlacementProblem, np.random.Generator], None]

STRATEGIES: dict[str, Strategy] = {
    "portfolio": portfolio.search,
    **QUICK,
    "annealing": annealing.search,
    "local_search": local_search.search,
    "dp": dp.search,
    "min_cut": min_cut.search,
    "milp": milp.search,
    "milp_contiguous": milp.search_contiguous,
    "hdp": hdp.search,
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


__all__ = ["QUICK", "STRATEGIES", "UNLIMITED", "PlacementBudget", "PlacementProblem", "Step", "Strategy", "strategy"]
