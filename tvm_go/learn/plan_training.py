"""Training a policy that improves whole plans, in any of the tasks: it learns to choose the moves that gain."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from tvm_go.errors import UsageError
from tvm_go.learn.descent import descend, half_cosine, set_rate, some_of
from tvm_go.learn.improvements import choice_loss
from tvm_go.learn.one_thread import one_thread
from tvm_go.learn.plan_lessons import PlanLesson, PlanProblem
from tvm_go.learn.run_state import record_of
from tvm_go.policy import Policy
from tvm_go.policy.plan_acting import draw_plan_moves, draw_random_moves, plan_move_scores


@dataclass(frozen=True)
class PlanTraining:
    """How to train.

    Attributes
    ----------
    steps : int
    lessons_per_step, moves_per_lesson : int
        Of one batch; half of the moves are such that gain, where there are so many.
    rate : float
        Of AdamW at first; it falls to nothing, as half a cosine.
    weight_decay : float
    largest_gradient : float
    """

    steps: int = 300
    lessons_per_step: int = 4
    moves_per_lesson: int = 16
    rate: float = 2e-3
    weight_decay: float = 1e-2
    largest_gradient: float = 1.0


def train_plans(
    policy: Policy,
    lessons: Sequence[PlanLesson],
    config: PlanTraining,
    rng: np.random.Generator,
    *,
    seconds: float = float("inf"),
) -> dict[str, Any]:
    """Train a policy in place, in its tasks. The same policy, lessons, settings and generator give the same weights.

    The moves of a lesson are scored, each by the tasks that change something in it; the policy learns to choose among
    them by what each saves (cross-entropy, as in `tvm_go.learn.improvements`).

    Parameters
    ----------
    lessons
        Of moves in the policy's tasks, see `tvm_go.learn.plan_lessons`.
    seconds : float
        Ends the run early.

    Returns
    -------
    dict
        The record of the training, as `tvm_go.policy.save_policy` takes it.

    Raises
    ------
    UsageError
        If there is nothing to learn from.
    TrainingError
        If a loss is not finite.
    """
    if not lessons:
        raise UsageError("there is no draft that a move improves; give more graphs, or more evaluations of each")
    optimiser = torch.optim.AdamW(policy.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    curve: list[dict[str, float]] = []
    began = time.monotonic()
    with one_thread():
        for step in range(config.steps):
            if time.monotonic() - began > seconds:
                break
            set_rate(optimiser, half_cosine(config.rate, step, config.steps))
            batch = some_of(lessons, config.lessons_per_step, rng)
            loss = plan_loss(policy, batch, config.moves_per_lesson, rng)
            descend(policy, optimiser, loss, " and ".join(one.name for one in batch), config.largest_gradient)
            curve.append({"loss": float(loss.detach())})
    return record_of(policy, sorted({lesson.name for lesson in lessons}), asdict(config), curve)


def plan_loss(policy: Policy, lessons: Sequence[PlanLesson], moves: int, rng: np.random.Generator) -> torch.Tensor:
    """Divergence of what the policy would choose among some moves of each draft from a choice by gain: a scalar.

    Parameters
    ----------
    moves : int
        Of each draft; none has fewer.
    """
    chosen = [_some(lesson.gain, moves, rng) for lesson in lessons]
    scores = plan_move_scores(
        policy,
        [lesson.scene for lesson in lessons],
        [lesson.moves.rows(which) for lesson, which in zip(lessons, chosen, strict=True)],
    )
    gain = np.stack([lesson.gain[which] for lesson, which in zip(lessons, chosen, strict=True)])
    return choice_loss(scores, gain) / len(lessons)


def improve(
    policy: Policy | Sequence[str], problem: PlanProblem, evaluations: int, samples: int, rng: np.random.Generator
) -> None:
    """Draw so many moves of the best plan again and again, and evaluate them; the problem keeps what is better.

    Parameters
    ----------
    policy : Policy or sequence of str
        Tasks alone stand for a policy that prefers nothing.
    """
    done = 0
    scene, shown = problem.scene(), problem.best
    while done < evaluations:
        if problem.best is not shown:
            scene, shown = problem.scene(), problem.best
        count = min(samples, evaluations - done)
        if isinstance(policy, Policy):
            moves = draw_plan_moves(policy, scene, count, rng)
        else:
            moves = draw_random_moves(scene.draft, policy, count, rng)
        problem.try_moves(scene.draft, moves)
        done += count


def _some(gain: np.typing.NDArray[np.float64], count: int, rng: np.random.Generator) -> np.typing.NDArray[np.int64]:
    """Moves to learn from: half of them such that gain, at least one."""
    gaining, others = (rng.permutation(np.flatnonzero(part)) for part in (gain > 0, gain <= 0))
    first = min(len(gaining), max(count // 2, count - len(others)))
    return np.concatenate([gaining[:first], others[: count - first]])
