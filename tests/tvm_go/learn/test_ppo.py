"""PPO on single-step episodes: its arithmetic, and that a policy improves where the best plan is known."""

import numpy as np
import pytest
import torch

from tests.tvm_go.learn.cases import chains, gpu_and_host, gpus, lesson_of, small_policy
from tvm_go.errors import TrainingError
from tvm_go.learn.descent import backward
from tvm_go.learn.episodes import Episodes, draw
from tvm_go.learn.ppo import PPOConfig, entropy_weight, explained_variance, ppo_terms, update
from tvm_go.learn.reward import Baseline
from tvm_go.policy import Policy, Score


def episodes_of(policy: Policy, count: int = 8, seed: int = 0) -> Episodes:
    exercise = lesson_of(chains(), gpus()).exercise
    return draw(policy, exercise, Baseline(), count, torch.Generator().manual_seed(seed))[0]


def shifted(score: Score, by: float) -> Score:
    """What a policy would think that finds every decision likelier by a factor."""
    return score._replace(log_prob_per_class=score.log_prob_per_class + by)


def test_right_after_drawing_ratios_are_one_and_the_loss_is_minus_the_mean_advantage() -> None:
    policy = small_policy()
    episodes = episodes_of(policy)
    terms = ppo_terms(policy.score(episodes.exercise.graph, episodes.actions), episodes, scale=1.0, clip=0.2)
    assert float(terms.policy.detach()) == pytest.approx(-episodes.advantage.mean(), abs=1e-5)
    assert float(terms.approx_kl) == pytest.approx(0.0, abs=1e-6)
    assert float(terms.clip_fraction) == 0.0


def test_ratios_beyond_the_clip_range_have_no_gradient_where_the_advantage_is_positive() -> None:
    policy = small_policy()
    episodes = episodes_of(policy)
    better = int(np.argmax(episodes.advantage))
    one = Episodes(
        episodes.exercise,
        episodes.actions.rows(torch.tensor([better])),
        episodes.milliseconds[[better]],
        episodes.reward[[better]],
        np.array([1.0]),
    )
    score = policy.score(one.exercise.graph, one.actions)
    for by, learns in ((0.1, True), (0.3, False)):
        terms = ppo_terms(shifted(score, by), one, scale=1.0, clip=0.2)
        (gradient,) = torch.autograd.grad(terms.policy, score.log_prob_per_class, retain_graph=True)
        assert bool((gradient != 0).any()) is learns
        assert float(terms.clip_fraction) == (0.0 if learns else 1.0)


def test_plans_drawn_late_are_better_than_early_ones_and_near_the_best() -> None:
    policy, config = small_policy(), PPOConfig(samples=16)
    exercise = lesson_of(chains(), gpu_and_host()).exercise
    optimiser = torch.optim.Adam(policy.parameters(), lr=3e-3)
    generator, rng, baseline = torch.Generator().manual_seed(0), np.random.default_rng(0), Baseline()
    rewards = []
    for _ in range(40):
        episodes, baseline = draw(policy, exercise, baseline, config.samples, generator)
        rewards.append(episodes.reward.mean())
        update(policy, optimiser, [episodes], config, 0.001, rng)
    best = -np.sqrt(12.0 / exercise.reference_ms)  # all on the GPU
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5])
    assert np.mean(rewards[-5:]) > best - 0.2


def test_the_entropy_bonus_keeps_a_policy_open() -> None:
    entropies = []
    for weight in (0.0, 1.0):
        policy = small_policy()
        optimiser = torch.optim.Adam(policy.parameters(), lr=3e-3)
        episodes = episodes_of(policy)
        for _ in range(10):
            statistics = update(policy, optimiser, [episodes], PPOConfig(), weight, np.random.default_rng(0))
        entropies.append(statistics.entropy)
    assert entropies[1] > entropies[0]


def test_the_weight_of_entropy_halves_and_never_falls_below_its_least() -> None:
    config = PPOConfig(entropy=0.08, least_entropy=0.01, entropy_half_life=10)
    assert [entropy_weight(config, step) for step in (0, 10, 20, 30, 1000)] == [0.08, 0.04, 0.02, 0.01, 0.01]


def test_a_loss_that_is_not_a_number_names_the_graph_and_leaves_the_weights_alone() -> None:
    policy = small_policy()
    episodes = episodes_of(policy)
    broken = Episodes(
        episodes.exercise, episodes.actions, episodes.milliseconds, episodes.reward * np.nan, episodes.advantage
    )
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    optimiser = torch.optim.Adam(policy.parameters())
    with pytest.raises(TrainingError, match=r"^chains on 2 gpus: the loss is nan"):
        update(policy, optimiser, [broken], PPOConfig(), 0.0, np.random.default_rng(0))
    assert all(torch.equal(weight, before[name]) for name, weight in policy.state_dict().items())


def test_a_gradient_that_is_not_finite_is_an_error_though_the_loss_is() -> None:
    layer = torch.nn.Linear(1, 1)
    root = layer(torch.zeros(1, 1)).sum() * 0
    with pytest.raises(TrainingError, match="gradient is not finite"):
        backward(layer, torch.sqrt(root), "graph")


def test_explained_variance_is_one_for_a_prophet_and_zero_for_a_constant() -> None:
    rewards = np.array([[1.0, 1.0], [2.0, 2.0]])
    assert explained_variance(np.array([1.0, 2.0]), rewards) == 1.0
    assert explained_variance(np.array([1.5, 1.5]), rewards) == 0.0
    assert explained_variance(np.zeros(2), np.ones((2, 2))) == 0.0
