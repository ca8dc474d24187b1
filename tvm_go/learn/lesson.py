"""Lesson: one graph on one machine to learn from, with its reference and the best plan that searches know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64
from tvm_go.learn.alike import alike_devices, canonical
from tvm_go.learn.episodes import Exercise
from tvm_go.learn.improvements import Improvements
from tvm_go.learn.simplify import simplified
from tvm_go.policy import Actions, GraphInput, graph_input
from tvm_go.search.placement import annealing
from tvm_go.search.placement.portfolio import QUICK, available
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.costs import costs_of
from tvm_go.simulate.depth_first import depth_first
from tvm_go.simulate.objectives import default_priority, evaluate
from tvm_go.simulate.workload import Floats

_TEACHERS = ("expert", "critical_path", "m_etf", "metis")


@dataclass(frozen=True, eq=False)
class Lesson:
    """What training knows of one graph.

    Attributes
    ----------
    exercise : Exercise
        The graph, evaluated in the order in which the target is quickest. Its reference is the time of ``expert``, or
        of all ops one after another, each on its quickest device, if ``expert`` finds nothing feasible.
    target : int64 [C]
        Device of each colocation class in the best known placement, simplified, and named as by
        `tvm_go.learn.alike.canonical`; empty if none is known.
    target_ms : float
        Its time; ``inf`` if none is known.
    alike : int64 [D]
        See `tvm_go.learn.alike.alike_devices`.
    improvements : Improvements, optional
        Of the graph's draft, if that is what is to be learned; then there is no target.
    """

    exercise: Exercise
    target: Int64
    target_ms: float
    alike: Int64
    improvements: Improvements | None = None

    @property
    def name(self) -> str:
        return self.exercise.name

    @property
    def graph(self) -> GraphInput:
        return self.exercise.graph

    @property
    def reference_ms(self) -> float:
        return self.exercise.reference_ms

    def plans_ms(self, actions: Actions) -> Floats:
        """See `Exercise.plans_ms`."""
        return self.exercise.plans_ms(actions)

    def decided(self, actions: Actions, row: int) -> Int64:
        """Device of each colocation class in one of some plans, as ``target`` has them."""
        return canonical(actions.device[row].numpy(), self.alike)


def prepare_lesson(
    workload: Workload, machine: Machine, objective: str, *, evaluations: int, rng: np.random.Generator
) -> Lesson:
    """Run the quick strategies, then annealing for so many evaluations, and simplify the best placement to the target.

    Raises
    ------
    UsageError
        If the graph is empty.
    UnsupportedModelError
        If an op runs on no device of the machine.
    """
    if not workload.num_ops:
        raise UsageError(f"{workload.name} has no ops: there is nothing to learn from it; leave it out")
    orders = standard_orders(workload, machine, objective)
    reference_ms, found = _quick(workload, machine, objective, rng)
    problem = PlacementProblem(workload, machine, objective, PlacementBudget(evaluations))
    for order in orders if len(found) else ():
        problem.evaluate(found, order[None])
    annealing.search(problem, rng)
    alike = alike_devices(machine)
    order = problem.best_priority if len(problem.best_priority) else orders[0]
    target, target_ms = np.empty(0, dtype=np.int64), float("inf")
    if len(problem.best):
        target, target_ms = simplified(
            problem.best[first_ops(workload)].astype(np.int64),
            lambda device: evaluate(
                workload, machine, objective, device[:, workload.colocation].astype(np.int32), order[None]
            ),
        )
    exercise = Exercise(
        name=f"{workload.name} on {machine.name}",
        graph=graph_input(workload, machine, objective),
        order=order,
        reference_ms=reference_ms,
        evaluate=partial(evaluate, workload, machine, objective),
    )
    return Lesson(exercise, canonical(target, alike), target_ms, alike)


def standard_orders(workload: Workload, machine: Machine, objective: str) -> Floats:
    """Priorities that a placement is tried with: the default, and depth first under ``concurrent``: [1 or 2, N]."""
    costs = costs_of(workload, machine)
    rows = [default_priority(costs, objective)]
    if objective == "concurrent":
        rows.append(depth_first(costs))
    return np.stack(rows)


def first_ops(workload: Workload) -> Int32:
    """The first op of each colocation class: int32 [C]."""
    starts, ops = workload.class_members
    return ops[starts[:-1]]


def _quick(workload: Workload, machine: Machine, objective: str, rng: np.random.Generator) -> tuple[float, Int32]:
    """The reference, and the placements that quick strategies found, int32 [B, N]."""
    reference_ms = float(machine.op_ms(workload).min(axis=1).sum())
    found = []
    for name in available(_TEACHERS):
        problem = PlacementProblem(workload, machine, objective)
        QUICK[name](problem, rng)
        if len(problem.best):
            found.append(problem.best)
            if name == "expert":
                reference_ms = problem.best_value
    return reference_ms, np.array(found, dtype=np.int32).reshape(len(found), workload.num_ops)
