"""Lessons of drafts: what moves gain is what the simulator says, and a policy learns which ones do."""

from functools import cache

import numpy as np
import torch

from tests.tvm_go.learn.cases import chains, gpus, small_policy
from tvm_go.learn.draft_lessons import draft_lessons
from tvm_go.learn.improvements import improvement_loss
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.train import TrainConfig, train
from tvm_go.policy.moves import draft_of, moved


@cache
def lessons() -> list[Lesson]:
    workload = chains(count=5, length=8, transfer_ms=0.3)
    return draft_lessons(workload, gpus(3), "concurrent", moves=200, rng=np.random.default_rng(0))


def test_gains_are_those_of_the_simulator() -> None:
    assert lessons()
    for lesson in lessons():
        exercise, improvements = lesson.exercise, lesson.improvements
        assert improvements is not None
        best = int(improvements.gain.argmax())
        draft, sequences = draft_of(exercise.graph)
        rows = torch.cat([draft[None], moved(draft, sequences, improvements.moves.rows(torch.tensor([best])))])
        devices = rows.numpy()[:, exercise.graph.colocation].astype(np.int32)
        before_ms, after_ms = exercise.evaluate(devices, exercise.order[None])
        assert improvements.gain[best] == 1 - after_ms / before_ms > 0
        assert after_ms == improvements.milliseconds[best] == lesson.target_ms


def test_a_policy_learns_which_moves_gain() -> None:
    policy = small_policy()
    both = [(lesson.exercise, lesson.improvements) for lesson in lessons() if lesson.improvements is not None]
    first = float(improvement_loss(policy, both).detach())
    config = TrainConfig(steps=40, imitation_steps=40, imitation_rate=1e-2)
    train(policy, lessons(), config, np.random.default_rng(0))
    assert float(improvement_loss(policy, both).detach()) < 0.5 * first


def test_learning_by_reward_goes_on_from_there_and_the_same_seed_gives_the_same_weights() -> None:
    def weights() -> list[torch.Tensor]:
        policy = small_policy()
        record = train(policy, lessons(), TrainConfig(steps=4, imitation_steps=2), np.random.default_rng(0))
        assert "reward" in record["curve"][-1]
        return list(policy.state_dict().values())

    assert all(torch.equal(one, other) for one, other in zip(weights(), weights(), strict=True))


def test_where_nothing_fits_there_is_nothing_to_learn() -> None:
    machine = gpus(2, memory_bytes=1.0)
    assert not draft_lessons(chains(), machine, "concurrent", moves=10, rng=np.random.default_rng(0))
