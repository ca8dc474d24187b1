"""Places a workload with known costs on a machine: one strategy, one budget, one result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tvm_go.by_name import check_name
from tvm_go.errors import UsageError
from tvm_go.graph import Int32
from tvm_go.search.placement import Strategy, go
from tvm_go.search.placement import strategy as strategy_named
from tvm_go.search.placement.bounds import lower_bound
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem, Step
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.objectives import OBJECTIVES
from tvm_go.simulate.workload import Floats

if TYPE_CHECKING:  # it brings torch and DGL, which only one strategy needs
    from tvm_go.policy import Policy

GO = "go"
"""The strategy that searches by a policy."""


@dataclass(frozen=True, eq=False)
class Placement:
    """The best placement that a strategy found.

    Attributes
    ----------
    device : int32 [N]
        Empty if no feasible placement was found.
    priority : float64 [N]
        Larger goes first; empty where the objective needs none, or the default will do.
    value, lower_bound : float
        Milliseconds; no placement can be below the bound. ``inf`` if no feasible placement was found.
    interrupted : bool
        Whether Ctrl-C ended the search.
    history : tuple of Step
        When the best became what it is.
    """

    strategy: str
    objective: str
    device: Int32
    priority: Floats
    value: float
    lower_bound: float
    evaluations: int
    seconds: float
    interrupted: bool
    history: tuple[Step, ...]

    @property
    def feasible(self) -> bool:
        return len(self.history) > 0

    @property
    def gap(self) -> float:
        """How much of the value may be saved at most, as a share of it."""
        return (self.value - self.lower_bound) / self.value if 0 < self.value < np.inf else 0.0


def place(
    workload: Workload,
    machine: Machine,
    objective: str,
    *,
    strategy: str = "portfolio",
    budget: PlacementBudget | None = None,
    seed: int = 0,
    policy: Policy | None = None,
) -> Placement:
    """Search for the placement of least milliseconds.

    Parameters
    ----------
    objective : str
        One of `tvm_go.simulate.objectives.OBJECTIVES`.
    budget : PlacementBudget, optional
        When the search ends at the latest; by default after 10,000 evaluations.
    seed : int
        The same seed gives the same placement where evaluations and not seconds end the search.
    policy : Policy, optional
        For the strategy ``go``, instead of the one that comes with the package.

    Raises
    ------
    UsageError
        For an unknown strategy or objective, or one that the strategy does not know, or a policy that it cannot use.
    UnsupportedModelError
        If it is plain that nothing is feasible; it says why.
    """
    problem = PlacementProblem(workload, machine, objective, budget or PlacementBudget())
    return solve(problem, strategy, seed, policy)


def solve(problem: PlacementProblem, strategy: str, seed: int, policy: Policy | None = None) -> Placement:
    """As :func:`place`, on a problem that the caller may look at meanwhile. Ctrl-C ends it with the best so far."""
    check_name(OBJECTIVES, problem.objective, "objective")
    search = _search_of(strategy, policy)
    problem.raise_bound(lower_bound(problem.workload, problem.machine, problem.objective))
    interrupted = False
    try:
        search(problem, np.random.default_rng(seed))
    except KeyboardInterrupt:
        interrupted = True
    return Placement(
        strategy=strategy,
        objective=problem.objective,
        device=problem.best,
        priority=problem.best_priority,
        value=problem.best_value,
        lower_bound=problem.lower_bound,
        evaluations=problem.evaluations,
        seconds=problem.seconds,
        interrupted=interrupted,
        history=tuple(problem.history),
    )


def _search_of(strategy: str, policy: Policy | None) -> Strategy:
    if policy is None:
        return strategy_named(strategy)
    if strategy != GO:
        raise UsageError(f"strategy '{strategy}' uses no policy; choose '{GO}' for that")
    return partial(go.search_with, policy)
