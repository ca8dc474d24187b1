"""What all trainings share: batches without repetition, and a rate that falls to nothing."""

import numpy as np
import pytest
import torch

from tvm_go.learn.descent import descend, half_cosine, set_rate, some_of
from tvm_go.learn.reward import gains


def test_a_batch_has_no_lesson_twice_and_all_where_there_are_fewer() -> None:
    rng = np.random.default_rng(0)
    assert len(set(some_of("abcdef", 4, rng))) == 4
    assert sorted(some_of("abc", 8, rng)) == ["a", "b", "c"]


def test_the_rate_begins_whole_is_half_in_the_middle_and_falls_all_the_time() -> None:
    rates = [half_cosine(0.2, step, 10) for step in range(11)]
    assert rates[0] == 0.2 and rates[5] == pytest.approx(0.1) and rates[10] == pytest.approx(0.0)
    assert rates == sorted(rates, reverse=True)


def test_a_step_goes_down_the_loss_at_the_rate_that_was_set_and_no_further_than_gradients_may_be() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    set_rate(optimiser, 0.5)
    before = float(layer.weight.detach())
    descend(layer, optimiser, 3.0 * layer.weight.sum(), "layer", 1.0)
    assert before - float(layer.weight.detach()) == pytest.approx(0.5, abs=1e-5)


def test_gains_are_shares_of_the_time_before_and_never_negative() -> None:
    assert gains(np.array([1.0, 2.0, 3.0, np.inf]), 2.0).tolist() == [0.5, 0.0, 0.0, 0.0]
    assert gains(np.zeros(1), 0.0).tolist() == [1.0]
