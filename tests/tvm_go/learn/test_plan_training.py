"""Learning to improve whole plans: any subset of the tasks, and more than chance on graphs never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tvm_go.simulate.planned import planned_graph
from tvm_go.errors import UsageError
from tvm_go.learn.plan_lessons import TASKS, PlanLesson, PlanProblem, plan_lessons
from tvm_go.learn.plan_training import PlanTraining, improve, plan_loss, train_plans
from tvm_go.policy import Policy, PolicyConfig
from tvm_go.policy.plan_graph import PlanFrame

LEVELS = 4
TRAINING = PlanTraining(steps=60, lessons_per_step=4, moves_per_lesson=16, rate=5e-3)


def problem_of(seed: int, num_ops: int = 30) -> PlanProblem:
    frame = PlanFrame.of(planned_graph(seed, num_ops))
    return PlanProblem(frame, LEVELS, frame.planned.default_plan(np.ones(num_ops, dtype=np.int64), 1))


def lessons_of(tasks: tuple[str, ...], seeds: range, num_ops: int = 30) -> list[PlanLesson]:
    rng = np.random.default_rng(0)
    return [one for seed in seeds for one in plan_lessons(problem_of(seed, num_ops), tasks, 192, rng, moves=32)]


def policy_of(tasks: tuple[str, ...]) -> Policy:
    return Policy(PolicyConfig(tasks, 16, 1, 2, rounds=2, levels=LEVELS, plans=True), 0)


def test_a_lesson_says_what_each_move_of_its_draft_saves() -> None:
    problem = problem_of(1)
    before_ms = problem.best_ms
    lessons = plan_lessons(problem, TASKS, 128, np.random.default_rng(0), moves=64)
    first = lessons[0]
    again = problem_of(1)
    values = again.try_moves(first.scene.draft, first.moves)
    assert first.gain == pytest.approx(np.maximum(1 - values / before_ms, 0))
    assert problem.evaluations == 128 and problem.best_ms < before_ms
    assert problem.history == sorted(problem.history, reverse=True)


def test_decisions_of_other_tasks_stay_while_one_is_learned() -> None:
    problem = problem_of(2)
    before = problem.best
    plan_lessons(problem, ("fusion",), 192, np.random.default_rng(0), moves=32)
    assert np.array_equal(problem.best.device, before.device)
    assert np.array_equal(problem.best.level, before.level)
    assert not np.array_equal(problem.best.kernel, before.kernel)


@pytest.mark.parametrize("tasks", [("variant",), ("placement",), ("fusion",), ("placement", "fusion"), TASKS])
def test_a_policy_of_any_tasks_learns_to_choose_moves_that_gain_on_graphs_it_never_saw(tasks: tuple[str, ...]) -> None:
    unseen = lessons_of(tasks, range(20, 26))
    policy = policy_of(tasks)

    def loss() -> float:
        with torch.no_grad():
            return float(plan_loss(policy, unseen, 32, np.random.default_rng(0)))

    before = loss()
    record = train_plans(policy, lessons_of(tasks, range(16)), TRAINING, np.random.default_rng(0))
    assert record["steps_done"] == TRAINING.steps
    assert loss() < 0.9 * before


@pytest.mark.parametrize("tasks", [("fusion",), TASKS])
def test_the_same_seed_gives_the_same_weights(tasks: tuple[str, ...]) -> None:
    lessons = lessons_of(tasks, range(3))
    policies = [policy_of(tasks) for _ in range(2)]
    for policy in policies:
        train_plans(policy, lessons, PlanTraining(steps=3), np.random.default_rng(0))
    one, other = (policy.state_dict() for policy in policies)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_without_a_draft_that_a_move_improves_there_is_nothing_to_learn() -> None:
    with pytest.raises(UsageError, match="no draft that a move improves"):
        train_plans(policy_of(TASKS), [], TRAINING, np.random.default_rng(0))


@pytest.mark.parametrize("chooser", [TASKS, policy_of(TASKS)], ids=["nobody", "policy"])
def test_improving_takes_as_many_evaluations_as_it_was_given_and_keeps_the_best(
    chooser: Policy | tuple[str, ...],
) -> None:
    problem = problem_of(3)
    before_ms = problem.best_ms
    improve(chooser, problem, 50, 16, np.random.default_rng(0))
    assert problem.evaluations == len(problem.history) == 50
    assert problem.best_ms == problem.history[-1] < before_ms
    assert problem.frame.planned.milliseconds(problem.best) == problem.best_ms
