"""What every placement strategy searches: a workload on a machine, an objective, and a budget."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from tvm_go.graph import Int32
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.objectives import evaluate
from tvm_go.simulate.workload import Floats


@dataclass(frozen=True)
class PlacementBudget:
    """When to stop: evaluations of a whole placement, and seconds."""

    evaluations: int = 10_000
    seconds: float = float("inf")


@dataclass(frozen=True)
class Step:
    """The best value became `value` after so many evaluations and seconds."""

    evaluations: int
    seconds: float
    value: float


@dataclass
class PlacementProblem:
    """Placements of one workload under one objective (see `tvm_go.simulate.objectives`); remembers the best.

    Attributes
    ----------
    best : int32 [N]
        Device of each op; empty until a feasible placement was seen.
    best_priority : float64 [N]
        What came with it; larger goes first.
    best_value : float
        Milliseconds; ``inf`` until then.
    lower_bound : float
        No placement can be better; what strategies have proven so far.
    """

    workload: Workload
    machine: Machine
    objective: str
    budget: PlacementBudget = field(default_factory=PlacementBudget)
    evaluations: int = field(init=False, default=0)
    best: Int32 = field(init=False, default_factory=lambda: np.empty(0, dtype=np.int32))
    best_priority: Floats = field(init=False, default_factory=lambda: np.empty(0))
    best_value: float = field(init=False, default=float("inf"))
    lower_bound: float = field(init=False, default=0.0)
    history: list[Step] = field(init=False, default_factory=list)
    _start: float = field(init=False, default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the problem was made."""
        return time.monotonic() - self._start

    @property
    def seconds_left(self) -> float:
        return self.budget.seconds - self.seconds

    @property
    def exhausted(self) -> bool:
        return self.evaluations >= self.budget.evaluations or self.seconds_left <= 0

    def evaluate(self, devices: Int32, priorities: Floats | None = None) -> Floats:
        """Milliseconds of some placements; ``inf`` for one that is not feasible. Keeps the best.

        Parameters
        ----------
        devices : int32 [B, N]
        priorities : float64 [B, N] or [1, N], optional
        """
        values = evaluate(self.workload, self.machine, self.objective, devices, priorities)
        self.evaluations += len(devices)
        if len(values):
            one = int(np.argmin(values))
            self._take(devices[one], priority_of(priorities, one), float(values[one]))
        return values

    @property
    def shared_priorities(self) -> Floats | None:
        """Priorities of the best placement for any others: float64 [1, N]; None for the default ones."""
        return self.best_priority[None] if len(self.best_priority) else None

    def report(self, device: Int32, evaluations: int, priority: Floats | None = None) -> float:
        """Take the outcome of a compiled loop that evaluated for itself; the value is computed afresh."""
        self.evaluations += evaluations - 1
        return float(self.evaluate(device[None], None if priority is None else priority[None])[0])

    def raise_bound(self, bound: float) -> None:
        """Take what was proven: no placement is below ``bound`` milliseconds."""
        self.lower_bound = max(self.lower_bound, bound)

    def _take(self, device: Int32, priority: Floats | None, value: float) -> None:
        if value < self.best_value:
            self.best, self.best_value = device.copy(), value
            self.best_priority = np.empty(0) if priority is None else priority.copy()
            self.history.append(Step(self.evaluations, self.seconds, value))


def priority_of(priorities: Floats | None, row: int) -> Floats | None:
    """Priorities of one placement among several that may share them: float64 [N]."""
    return None if priorities is None else priorities[min(row, len(priorities) - 1)]
