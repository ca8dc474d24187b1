"""Searches for an order of kernels: one file per strategy, all behind one function."""

from collections.abc import Callable

import numpy as np

from tvm_go.by_name import by_name
from tvm_go.search.scheduling import annealing, critical_path, memory_greedy, topological
from tvm_go.search.scheduling.list_schedule import list_schedule
from tvm_go.search.scheduling.problem import SchedulingProblem, makespan_problem, memory_problem

#: A strategy evaluates priorities until it is done or the budget is; the problem keeps the best.
SchedulingStrategy = Callable[[SchedulingProblem, np.random.Generator], None]

SCHEDULING_STRATEGIES: dict[str, SchedulingStrategy] = {
    "topological": topological.search,
    "critical_path": critical_path.search,
    "memory_greedy": memory_greedy.search,
    "annealing": annealing.search,
}


def scheduling_strategy(name: str) -> SchedulingStrategy:
    """A strategy by name.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    return by_name(SCHEDULING_STRATEGIES, name, "scheduling strategy")


__all__ = [
    "SCHEDULING_STRATEGIES",
    "SchedulingProblem",
    "SchedulingStrategy",
    "list_schedule",
    "makespan_problem",
    "memory_problem",
    "scheduling_strategy",
]
