"""Lessons in improving whole plans: drafts on the way of a descent, and what random moves make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tvm_go.learn.reward import gains
from tvm_go.policy.plan_acting import Scene, draw_random_moves
from tvm_go.policy.plan_graph import PlanFrame, plan_input
from tvm_go.policy.plan_moves import PlanDraft, PlanMoves
from tvm_go.simulate.plans import WholePlan
from tvm_go.simulate.workload import Floats

TASKS = ("variant", "placement", "fusion", "schedule")


@dataclass
class PlanProblem:
    """A graph on a machine whose plan is to be improved; it counts evaluations, and keeps the best plan.

    Attributes
    ----------
    levels : int
        Of priority.
    """

    frame: PlanFrame
    levels: int
    best: WholePlan
    best_ms: float = field(init=False)
    evaluations: int = field(init=False, default=0)
    history: list[float] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.best_ms = self.frame.planned.milliseconds(self.best)

    def scene(self) -> Scene:
        """The best plan as a draft."""
        return Scene(plan_input(self.frame, self.best, self.levels), PlanDraft.of(self.frame, self.best, self.levels))

    def try_moves(self, draft: PlanDraft, moves: PlanMoves) -> Floats:
        """Evaluate the plans after some moves: milliseconds, float64 [B]; the best may be the next draft."""
        values = np.empty(len(moves))
        for row in range(len(moves)):
            plan = moves.plan(self.frame, draft, row)
            values[row] = self.frame.planned.milliseconds(plan)
            self.evaluations += 1
            if values[row] < self.best_ms:
                self.best, self.best_ms = plan, float(values[row])
            self.history.append(self.best_ms)
        return values


@dataclass(frozen=True, eq=False)
class PlanLesson:
    """A draft, moves of it in some tasks, and the share of its time that each saves: float64 [M], 0 if nothing."""

    name: str
    scene: Scene
    moves: PlanMoves
    gain: Floats


def plan_lessons(
    problem: PlanProblem, tasks: Sequence[str], evaluations: int, rng: np.random.Generator, *, moves: int = 64
) -> list[PlanLesson]:
    """Descend by the best of so many random moves each time; each draft of which a move gains is a lesson.

    Decisions of other tasks stay as they are in the problem's plan.
    """
    lessons = []
    for step in range(evaluations // moves):
        scene, before_ms = problem.scene(), problem.best_ms
        drawn = draw_random_moves(scene.draft, tasks, moves, rng)
        gain = gains(problem.try_moves(scene.draft, drawn), before_ms)
        if gain.any():
            lessons.append(PlanLesson(f"{problem.frame.planned.name}, draft {step}", scene, drawn, gain))
    return lessons
