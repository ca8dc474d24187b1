"""Imitation of known placements."""

import numpy as np
import pytest
import torch

from tests.tvm_go.learn.cases import chains, gpus, lesson_of, small_policy
from tvm_go.graph import Int64
from tvm_go.learn.imitation import imitation_loss
from tvm_go.policy import Policy


def imitated(policy: Policy, steps: int) -> tuple[list[float], Int64, Int64]:
    """Losses on the way, the target, and the policy's likeliest placement in the end."""
    lesson = lesson_of(chains(count=3), gpus(3))
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(policy.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = imitation_loss(policy, lesson.exercise, lesson.target, generator)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses, lesson.target, policy.act(lesson.exercise.graph, 1, generator, greedy=True).device[0].numpy()


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_policy_learns_a_placement_by_heart(rounds: int) -> None:
    losses, target, learned = imitated(small_policy(rounds=rounds), 60)
    assert losses[-1] < 0.2 * losses[0]
    assert np.array_equal(learned, target)


def test_levels_are_learned_along_with_the_placement() -> None:
    policy = small_policy(tasks=("placement", "schedule"))
    losses, target, learned = imitated(policy, 60)
    assert losses[-1] < 0.6 * losses[0]
    assert np.array_equal(learned, target)
