"""Learning to fuse: lessons, training and fine-tuning on graphs whose kernels cost what everybody can work out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tvm_go.learn.fusing import fusing_policy, fusing_problem
from tvm_go.errors import TrainingError, UsageError
from tvm_go.learn.finetune_fusion import finetune_fusion
from tvm_go.learn.fusion import FusionLesson, choices_of, likely_plans, prepare_fusion_lesson
from tvm_go.learn.fusion_training import FusionTraining, expected_speedup, train_fusion
from tvm_go.learn.journal import JOURNAL_FILE
from tvm_go.learn.ppo import PPOConfig
from tvm_go.learn.run import RunOptions
from tvm_go.policy import Policy
from tvm_go.policy.kernel_graph import kernel_graph
from tvm_go.search import strategy

TRAINING = FusionTraining(42, 40, graphs_per_step=3, imitation_rate=1e-2, ppo=PPOConfig(samples=4))


def lesson_of(seed: int, num_ops: int = 20) -> FusionLesson:
    return prepare_fusion_lesson(fusing_problem(seed, num_ops), f"graph {seed}", np.random.default_rng(seed))


@pytest.fixture(scope="module")
def lessons() -> list[FusionLesson]:
    return [lesson_of(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def trained(lessons: list[FusionLesson]) -> Policy:
    policy = fusing_policy()
    train_fusion(policy, lessons, TRAINING, np.random.default_rng(0))
    return policy


def likeliest_ms(policy: Policy, lesson: FusionLesson) -> float:
    generator = torch.Generator().manual_seed(0)
    actions = policy.act(lesson.graph, 1, generator, greedy=True)
    return float(lesson.plans_ms(actions)[0])


@pytest.mark.parametrize("seed", range(4))
def test_the_target_of_a_lesson_is_about_as_good_as_what_searches_find(seed: int) -> None:
    lesson = lesson_of(seed)
    assert lesson.target_ms < lesson.reference_ms
    for name in ("greedy", "annealing"):
        problem = fusing_problem(seed, 20, kernels=300)
        strategy(name)(problem, np.random.default_rng(0))
        assert lesson.target_ms <= 1.05 * problem.best_ms


def test_regret_is_what_the_other_decision_would_cost(lessons: list[FusionLesson]) -> None:
    lesson = lessons[0]
    for unit in np.argsort(-lesson.regret)[:5]:
        other = lesson.target.copy()
        other[unit] = 1 - other[unit]
        lost_ms = float(lesson.evaluate(other[None])[0]) - lesson.target_ms
        assert lost_ms / lesson.reference_ms == pytest.approx(lesson.regret[unit])
    assert (lesson.regret >= 0).all() and lesson.regret.any()


def test_a_known_partition_is_where_a_lesson_may_start() -> None:
    problem = fusing_problem(5, 20)
    strategy("greedy")(problem, np.random.default_rng(0))
    found = prepare_fusion_lesson(fusing_problem(5, 20), "known", np.random.default_rng(0), [problem.best])
    kept = choices_of(found.graph).merges(problem.graph, problem.best)
    assert found.target_ms <= float(found.evaluate(kept[None])[0])


def test_training_learns_plans_better_than_the_default(lessons: list[FusionLesson], trained: Policy) -> None:
    before, after = (
        np.mean([likeliest_ms(policy, lesson) / lesson.reference_ms for lesson in lessons])
        for policy in (fusing_policy(), trained)
    )
    assert after < before
    assert after < 0.99
    ratios = [lesson.reference_ms / likeliest_ms(trained, lesson) for lesson in lessons]
    assert expected_speedup(trained, lessons) == pytest.approx(np.exp(np.mean(np.log(ratios))))


def test_what_was_learned_carries_over_to_other_graphs(trained: Policy) -> None:
    unseen = [lesson_of(seed) for seed in range(20, 24)]
    generator = torch.Generator().manual_seed(0)
    ratios = [lesson.evaluate(likely_plans(trained, lesson.graph, generator)).min() / lesson.reference_ms
              for lesson in unseen]  # fmt: skip
    assert np.mean(ratios) < 0.99


def test_the_same_seed_gives_the_same_weights_and_journal_and_record_tell_of_the_run(
    lessons: list[FusionLesson], tmp_path: Path
) -> None:
    short = FusionTraining(5, 3, graphs_per_step=2, ppo=PPOConfig(samples=4))
    policies = [fusing_policy() for _ in range(2)]
    folders = [tmp_path / name for name in "ab"]
    records = [
        train_fusion(policy, lessons, short, np.random.default_rng(1), RunOptions(folder))
        for policy, folder in zip(policies, folders, strict=True)
    ]
    for one, other in zip(*(policy.state_dict().values() for policy in policies), strict=True):
        assert torch.equal(one, other)
    assert records[0]["graphs"] == [lesson.name for lesson in lessons]
    assert [set(row) >= {"reward"} for row in records[0]["curve"]] == [False] * 3 + [True] * 2
    journals = [(folder / JOURNAL_FILE).read_text() for folder in folders]
    assert len(journals[0].splitlines()) == 5
    assert journals[0] == journals[1]


@pytest.mark.parametrize("stop", [2, 4], ids=["while imitating", "while learning by reward"])
def test_a_run_that_was_stopped_and_resumed_gives_the_weights_of_one_that_was_not(
    lessons: list[FusionLesson], tmp_path: Path, stop: int
) -> None:
    config = FusionTraining(6, 3, graphs_per_step=2, ppo=PPOConfig(samples=4))
    stopped, whole = fusing_policy(), fusing_policy()
    train_fusion(stopped, lessons, replace(config, steps=stop), np.random.default_rng(1), RunOptions(tmp_path))
    resumed = fusing_policy(1)
    train_fusion(resumed, lessons, config, np.random.default_rng(2), RunOptions(tmp_path, resume=True))
    train_fusion(whole, lessons, config, np.random.default_rng(1))
    for one, other in zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_no_time_leaves_the_weights_as_they_were(lessons: list[FusionLesson]) -> None:
    policy = fusing_policy()
    options = RunOptions(seconds=-1.0)
    assert train_fusion(policy, lessons, TRAINING, np.random.default_rng(0), options)["steps_done"] == 0
    for one, other in zip(policy.state_dict().values(), fusing_policy().state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_nothing_to_learn_from_and_a_loss_that_is_none_are_named(lessons: list[FusionLesson]) -> None:
    with pytest.raises(UsageError, match="no graph to learn from"):
        train_fusion(fusing_policy(), [], TRAINING, np.random.default_rng(0))
    broken = fusing_policy()
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match="graph"):
        train_fusion(broken, lessons, TRAINING, np.random.default_rng(0))


def test_likely_plans_differ_and_the_likeliest_is_first(trained: Policy, lessons: list[FusionLesson]) -> None:
    graph = lessons[0].graph
    generator = torch.Generator().manual_seed(0)
    plans = likely_plans(trained, graph, generator)
    assert len(np.unique(plans, axis=0)) == len(plans)
    likeliest = trained.act(graph, 1, generator, greedy=True).drawn["fusion"][0, -1].numpy()
    assert (plans[0] == likeliest).mean() > 0.95  # the share of samples tells how likely a decision is


@pytest.mark.parametrize("kernels", [40, 80])
def test_fine_tuning_improves_within_its_budget_and_leaves_the_policy_alone(trained: Policy, kernels: int) -> None:
    weights = [weight.clone() for weight in trained.parameters()]
    problem = fusing_problem(30, kernels=kernels)
    graph = kernel_graph(problem.graph, problem.default, problem.rules)
    finetune_fusion(trained, problem, graph, np.random.default_rng(0))
    assert problem.best_ms < problem.default_ms
    assert problem.asked <= kernels
    assert all(torch.equal(one, other) for one, other in zip(weights, trained.parameters(), strict=True))


def test_fine_tuning_takes_no_more_steps_than_asked_and_ends_where_nothing_is_new(trained: Policy) -> None:
    problem = fusing_problem(31, 8)
    graph = kernel_graph(problem.graph, problem.default, problem.rules)
    asked = problem.asked
    finetune_fusion(trained, problem, graph, np.random.default_rng(0), steps=0)
    assert problem.asked == asked
    finetune_fusion(trained, problem, graph, np.random.default_rng(0))  # the budget knows no end
    assert problem.best_ms <= problem.default_ms
