"""Rewards and their moving baseline."""

import numpy as np
import pytest

from tvm_go.learn.reward import INFEASIBLE, Baseline, rewards


def test_the_reference_is_worth_minus_one_and_a_quarter_of_its_time_minus_a_half() -> None:
    assert rewards(np.array([8.0, 2.0, 32.0]), 8.0).tolist() == [-1.0, -0.5, -2.0]


def test_what_is_not_feasible_is_worth_minus_ten() -> None:
    assert rewards(np.array([np.inf, 1.0]), 1.0).tolist() == [INFEASIBLE, -1.0] == [-10.0, -1.0]


def test_a_graph_without_any_work_gives_finite_rewards() -> None:
    assert rewards(np.zeros(2), 0.0).tolist() == [0.0, 0.0]


def test_the_baseline_moves_towards_new_rewards_and_infeasible_plans_do_not_move_it() -> None:
    first = Baseline().updated(np.array([-1.0, -3.0, INFEASIBLE]))
    second = first.updated(np.array([-1.0, -1.0]))
    assert first.mean == -2.0
    assert -2.0 < second.mean < -1.0
    assert second.updated(np.full(3, INFEASIBLE)) == second


def test_better_plans_have_the_larger_advantage_and_infeasible_ones_the_least() -> None:
    reward = np.array([-1.0, -1.2, -10.0, -1.1])
    advantage = Baseline().updated(reward).advantages(reward)
    assert np.argsort(advantage).tolist() == [2, 1, 3, 0]
    assert advantage[0] > 0 > advantage[1]


def test_one_infeasible_plan_does_not_dwarf_the_differences_between_the_others() -> None:
    reward = np.array([-1.0, -1.2, -10.0])
    advantage = Baseline().updated(reward).advantages(reward)
    assert advantage[0] - advantage[1] == pytest.approx(0.2)
    assert advantage[2] >= -1.0


def test_as_long_as_nothing_was_feasible_there_is_nothing_to_prefer() -> None:
    reward = np.full(4, INFEASIBLE)
    assert not Baseline().updated(reward).advantages(reward).any()
