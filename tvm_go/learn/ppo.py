"""Proximal policy optimisation of single-step episodes over a batch of graphs (Schulman et al., 2017).

An episode is one step: the policy decides for all ops of a graph at once, and the simulator answers with one reward.
There are no later states, so there is nothing to discount and nothing to bootstrap from: generalised advantage
estimation, which trades the bias of later value estimates against the variance of later rewards, would return the
reward minus the baseline. That is what is used here.

The ratio of new to old probability is taken and clipped for each colocation class by itself. The ratio of a whole plan
is a product over thousands of classes, which leaves the clip range after any step at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from tvm_go.learn.descent import backward
from tvm_go.learn.episodes import Episodes
from tvm_go.policy import Policy, Score
from tvm_go.simulate.workload import Floats


@dataclass(frozen=True)
class PPOConfig:
    """How to learn from a batch of episodes.

    Attributes
    ----------
    samples : int
        Episodes of each graph in a batch.
    epochs : int
        How often a batch is gone through.
    minibatch_graphs : int
        Graphs whose episodes make one step of the optimiser.
    clip : float
        How far the ratio of probabilities may be from 1 and still be pushed further.
    entropy, least_entropy : float
        Weight of the entropy bonus at first, and in the end.
    entropy_half_life : float
        Steps in which that weight halves.
    value : float
        Weight of the value head's loss.
    largest_gradient : float
        Norm that gradients are cut to.
    """

    samples: int = 16
    epochs: int = 4
    minibatch_graphs: int = 1
    clip: float = 0.2
    entropy: float = 0.001
    least_entropy: float = 0.0001
    entropy_half_life: float = 100.0
    value: float = 0.1
    largest_gradient: float = 1.0


@dataclass(frozen=True)
class Statistics:
    """Means over a batch that tell how training goes.

    Attributes
    ----------
    reward : float
    feasible : float
        Share of the plans.
    approx_kl : float
        Divergence of the new policy from the old, per class: the mean of ``ratio - 1 - log(ratio)``.
    clip_fraction : float
        Share of the classes whose ratio is out of the clip range.
    entropy : float
        Nats per decision.
    explained_variance : float
        Share of the rewards' variance that the value head foresaw.
    loss : float
    """

    reward: float
    feasible: float
    approx_kl: float
    clip_fraction: float
    entropy: float
    explained_variance: float
    loss: float


def entropy_weight(config: PPOConfig, step: int) -> float:
    """Weight of the entropy bonus: it halves again and again, down to its least, so no last step need be known."""
    return float(max(config.entropy * 0.5 ** (step / config.entropy_half_life), config.least_entropy))


def update(
    policy: Policy,
    optimiser: torch.optim.Optimizer,
    batch: Sequence[Episodes],
    config: PPOConfig,
    entropy: float,
    rng: np.random.Generator,
) -> Statistics:
    """Learn from a batch: epochs of minibatches, each of some graphs with all their episodes.

    Parameters
    ----------
    entropy : float
        Weight of the entropy bonus in this batch.

    Raises
    ------
    TrainingError
        If a loss or a gradient is not finite; it names the graph. That minibatch has not touched the weights.
    """
    scale = float(np.concatenate([episodes.advantage for episodes in batch]).std()) + 1e-8
    terms: list[Terms] = []
    values = np.zeros(len(batch))
    for epoch in range(config.epochs):
        shuffled = rng.permutation(len(batch))
        for begin in range(0, len(batch), config.minibatch_graphs):
            minibatch = shuffled[begin : begin + config.minibatch_graphs]
            optimiser.zero_grad(set_to_none=True)
            for i in minibatch:
                episodes = batch[i]
                score = policy.score(episodes.exercise.graph, episodes.actions)
                term = ppo_terms(score, episodes, scale, config.clip)
                loss = term.policy - entropy * term.entropy + config.value * term.value
                backward(policy, loss / len(minibatch), episodes.exercise.name)
                terms.append(term)
                if epoch == 0:
                    values[i] = float(score.value[0].detach())
            torch.nn.utils.clip_grad_norm_(policy.parameters(), config.largest_gradient)
            optimiser.step()
    rewards = np.stack([episodes.reward for episodes in batch])
    return Statistics(
        reward=float(rewards.mean()),
        feasible=float(np.mean([np.isfinite(episodes.milliseconds) for episodes in batch])),
        approx_kl=float(np.mean([float(term.approx_kl) for term in terms])),
        clip_fraction=float(np.mean([float(term.clip_fraction) for term in terms])),
        entropy=float(np.mean([float(term.entropy.detach()) for term in terms])),
        explained_variance=explained_variance(values, rewards),
        loss=float(np.mean([float(term.policy.detach()) for term in terms])),
    )


@dataclass(frozen=True, eq=False)
class Terms:
    """What the loss of one graph is made of, scalars; the gradient of the first three is followed."""

    policy: torch.Tensor
    entropy: torch.Tensor
    value: torch.Tensor
    approx_kl: torch.Tensor
    clip_fraction: torch.Tensor


def ppo_terms(score: Score, episodes: Episodes, scale: float, clip: float) -> Terms:
    """The clipped surrogate objective, and what stands beside it.

    Parameters
    ----------
    score : Score
        What the policy now thinks of the episodes' actions.
    scale : float
        Standard deviation of the advantages in the batch of graphs.
    """
    advantage = torch.from_numpy(episodes.advantage / scale).float()[:, None]  # [B, 1]
    log_ratio = score.log_prob_per_class - episodes.actions.log_prob_per_class  # [B, C]
    ratio = log_ratio.exp()
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    target = torch.from_numpy(episodes.reward).float()
    return Terms(
        policy=-surrogate.mean(),
        entropy=score.entropy.mean(),
        value=functional.smooth_l1_loss(score.value, target),
        approx_kl=(ratio - 1 - log_ratio).detach().mean(),
        clip_fraction=((ratio - 1).abs() > clip).float().mean(),
    )


def explained_variance(values: Floats, rewards: Floats) -> float:
    """Share of the variance of rewards, [G, B], that values, [G], foresee; 0 where rewards do not vary."""
    variance = float(rewards.var())
    return 1.0 - float((rewards - values[:, None]).var()) / variance if variance > 0 else 0.0
