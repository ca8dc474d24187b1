"""What every scheduling strategy searches: priorities of kernels, what they are worth, and a budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tvm_go.by_name import by_name
from tvm_go.graph import Int32
from tvm_go.search.placement.problem import PlacementBudget, Step
from tvm_go.search.scheduling.list_schedule import list_schedule
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.kernel_tensors import KernelTensors
from tvm_go.simulate.objectives import evaluate
from tvm_go.simulate.peak_memory import least_peak_bytes, peak_bytes, planned_bytes
from tvm_go.simulate.workload import Floats

#: What memory of one device is judged by: all that is alive at once, or what TVM's planner sets aside.
MEASURES: dict[str, Callable[[KernelTensors, Int32], int]] = {"peak": peak_bytes, "planned": planned_bytes}


@dataclass
class SchedulingProblem:
    """Orders of the kernels of one graph under one objective; remembers the best.

    Attributes
    ----------
    objective : str
        ``peak`` or ``planned`` bytes on one device, or ``makespan`` in milliseconds on several.
    score : callable
        Values, float64 [B], of priorities, float64 [B, K].
    length : float64 [K]
        How long each kernel holds up what reads it, in milliseconds.
    lower_bound : float
        No order can be better.
    best_priority : float64 [K]
        Larger goes first; empty until priorities were evaluated.
    """

    tensors: KernelTensors
    objective: str
    score: Callable[[Floats], Floats]
    length: Floats
    lower_bound: float
    budget: PlacementBudget = field(default_factory=PlacementBudget)
    evaluations: int = field(init=False, default=0)
    best_priority: Floats = field(init=False, default_factory=lambda: np.empty(0))
    best_value: float = field(init=False, default=float("inf"))
    history: list[Step] = field(init=False, default_factory=list)
    _start: float = field(init=False, default_factory=time.monotonic)

    @property
    def best_order(self) -> Int32:
        """int32 [K]."""
        return list_schedule(self.tensors, self.best_priority)

    @property
    def seconds(self) -> float:
        """Since the problem was made."""
        return time.monotonic() - self._start

    @property
    def exhausted(self) -> bool:
        """The budget is spent, or nothing can be better."""
        spent = self.evaluations >= self.budget.evaluations or self.seconds >= self.budget.seconds
        return spent or self.best_value <= self.lower_bound

    def evaluate(self, priorities: Floats) -> Floats:
        """Values, float64 [B], of some priorities, float64 [B, K]. Keeps the best."""
        values = self.score(priorities)
        self.evaluations += len(priorities)
        if len(values):
            one = int(np.argmin(values))
            if values[one] < self.best_value or not len(self.best_priority):
                self.best_priority, self.best_value = priorities[one].copy(), float(values[one])
                self.history.append(Step(self.evaluations, self.seconds, self.best_value))
        return values

    def report(self, priority: Floats, evaluations: int) -> float:
        """Take the outcome of a compiled loop that evaluated for itself; the value is computed afresh."""
        self.evaluations += evaluations - 1
        return float(self.evaluate(priority[None])[0])


def memory_problem(
    tensors: KernelTensors, objective: str = "peak", budget: PlacementBudget | None = None
) -> SchedulingProblem:
    """Orders of the kernels of one device by the bytes that they need.

    Raises
    ------
    UsageError
        For an objective that is not one of `MEASURES`.
    """
    measure = by_name(MEASURES, objective, "measure of memory")

    def score(priorities: Floats) -> Floats:
        return np.array([measure(tensors, list_schedule(tensors, one)) for one in priorities], dtype=np.float64)

    return SchedulingProblem(
        tensors=tensors,
        objective=objective,
        score=score,
        length=np.ones(tensors.num_kernels),
        lower_bound=float(least_peak_bytes(tensors)),
        budget=budget or PlacementBudget(),
    )


def makespan_problem(
    workload: Workload, machine: Machine, device: Int32, budget: PlacementBudget | None = None
) -> SchedulingProblem:
    """Orders of ops whose devices, int32 [N], are given, by when the last one ends (objective ``concurrent``)."""

    def score(priorities: Floats) -> Floats:
        devices = np.broadcast_to(device, priorities.shape)
        return evaluate(workload, machine, "concurrent", np.ascontiguousarray(devices), priorities)

    own_ms = machine.op_ms(workload)[np.arange(workload.num_ops), device]
    source, reader = device[workload.edge_src], device[workload.edge_dst]
    away = (
        machine.latency_ms[source, reader]
        + workload.output_bytes[workload.edge_src] / (machine.bytes_per_ms[source, reader])
    )
    transfer_ms = np.zeros(workload.num_ops)
    np.maximum.at(transfer_ms, workload.edge_src, away)
    return SchedulingProblem(
        tensors=KernelTensors.of_workload(workload),
        objective="makespan",
        score=score,
        length=own_ms + transfer_ms,
        lower_bound=float(np.bincount(device, weights=own_ms).max(initial=0.0)),
        budget=budget or PlacementBudget(),
    )
