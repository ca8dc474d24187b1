"""Several strategies on one problem: each has its part of the budget, and what one finds is everyone's at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from tvm_go.graph import Int32
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem, priority_of
from tvm_go.simulate.workload import Floats


class Shared:
    """A problem that several threads search.

    Attributes
    ----------
    lock : threading.RLock
        Held while the problem changes.
    stop : threading.Event
        Ends all steps.
    """

    def __init__(self, problem: PlacementProblem) -> None:
        self.problem = problem
        self.lock = threading.RLock()
        self.stop = threading.Event()

    def step(self, *, seconds: float, evaluations: int) -> PlacementProblem:
        """The problem as one strategy sees it: its own budget, and the best so far to begin from."""
        whole = self.problem
        budget = PlacementBudget(evaluations, seconds)
        with self.lock:
            step = _Step(whole.workload, whole.machine, whole.objective, budget, shared=self)
            step.best, step.best_value, step.best_priority = whole.best, whole.best_value, whole.best_priority
            step.lower_bound = whole.lower_bound
        return step


@dataclass
class _Step(PlacementProblem):
    shared: Shared = field(kw_only=True)

    @property
    def seconds_left(self) -> float:
        if self.shared.stop.is_set():
            return 0.0
        return min(self.budget.seconds - self.seconds, self.shared.problem.seconds_left)

    def evaluate(self, devices: Int32, priorities: Floats | None = None) -> Floats:
        with self.shared.lock:
            values = self.shared.problem.evaluate(devices, priorities)
        self.evaluations += len(devices)
        if len(values):
            one = int(np.argmin(values))
            self._take(devices[one], priority_of(priorities, one), float(values[one]))
        return values

    def report(self, device: Int32, evaluations: int, priority: Floats | None = None) -> float:
        with self.shared.lock:
            self.shared.problem.evaluations += evaluations - 1
        return super().report(device, evaluations, priority)

    def raise_bound(self, bound: float) -> None:
        with self.shared.lock:
            self.shared.problem.raise_bound(bound)
        super().raise_bound(bound)
