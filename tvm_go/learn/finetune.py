"""Fine-tuning on one graph, from a policy that knows others; each step improves the best placement so far."""

from __future__ import annotations

import copy
import sys
from collections import deque

import numpy as np
import torch

from tvm_go.learn.descent import descend
from tvm_go.learn.draft_lessons import exercise_of
from tvm_go.learn.episodes import Exercise
from tvm_go.learn.improvements import Improvements, improvement_loss
from tvm_go.learn.one_thread import one_thread
from tvm_go.learn.reward import gains
from tvm_go.policy import Draft, Policy
from tvm_go.policy.acting import MoveActions
from tvm_go.search.placement.problem import PlacementProblem

_SAMPLES = 16
_LEARNING_RATE = 3e-4
_REMEMBERED = 8
_LARGEST_GRADIENT = 1.0
_MOST_OPS = 4_000_000  # of all samples of a step together


def exercise_of_best(problem: PlacementProblem) -> Exercise:
    """The best placement so far as a draft; its own time is the reference, and trying others counts."""
    draft = Draft(problem.best, problem.best_priority)
    exercise = exercise_of(
        problem.workload, problem.machine, problem.objective, draft, problem.best_value, problem.workload.name
    )
    return Exercise(exercise.name, exercise.graph, exercise.order, exercise.reference_ms, problem.evaluate)


@one_thread()
def step(policy: Policy, exercise: Exercise, problem: PlacementProblem, generator: torch.Generator) -> Improvements:
    """Draw moves of the draft and evaluate the placements after them; the problem keeps the best."""
    left = problem.budget.evaluations - problem.evaluations
    count = max(min(_SAMPLES, left, _MOST_OPS // max(problem.workload.num_ops, 1)), 1)
    actions = policy.act(exercise.graph, count, generator)
    assert isinstance(actions, MoveActions)  # the graph has a draft
    milliseconds = exercise.plans_ms(actions)
    gain = gains(milliseconds, exercise.reference_ms)
    return Improvements(actions.candidates.rows(actions.chosen), milliseconds, gain)


@one_thread()
def finetune(policy: Policy, problem: PlacementProblem, rng: np.random.Generator, *, steps: int = sys.maxsize) -> None:
    """Take as many steps as the budget allows, or fewer; the problem keeps the best placement.

    In each step the policy draws 16 moves of the best placement so far; from those that gained, of the last few
    placements, it learns as it did in training.

    Parameters
    ----------
    policy : Policy
        It is not changed.
    problem : PlacementProblem
        With a feasible placement.
    steps : int
        At most so many.

    Raises
    ------
    TrainingError
        If a loss is not finite.
    """
    if problem.machine.num_devices < 2:
        return
    tuned = copy.deepcopy(policy)
    optimiser = torch.optim.Adam(tuned.parameters(), lr=_LEARNING_RATE)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    exercise = exercise_of_best(problem)
    gained: deque[tuple[Exercise, Improvements]] = deque(maxlen=_REMEMBERED)
    for _ in range(steps):
        if problem.exhausted or not problem.best_value:
            break
        improvements = step(tuned, exercise, problem, generator)
        if improvements.gain.any():
            gained.append((exercise, improvements))
            exercise = exercise_of_best(problem)
        if gained:
            descend(tuned, optimiser, improvement_loss(tuned, gained), exercise.name, _LARGEST_GRADIENT)
