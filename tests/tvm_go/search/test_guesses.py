"""Predictions save measurements and never choose: what is best was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.synthetic import synthetic
from tests.tvm_go.search.test_strategies import CountingOracle, graph_of
from tvm_go.graph import Int32, Pattern
from tvm_go.kernels import Kernel
from tvm_go.legalize import legalize
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem, strategy
from tvm_go.search.foreseen import follow, foreseen


class Guessing:
    """Predicts with an error that depends on the kernel, and measures when asked to confirm."""

    def __init__(self, error: float) -> None:
        self.error = self.deviation = error
        self.bias = 1.0
        self.truth = CountingOracle()
        self.guessed: dict[str, float] = {}

    def __call__(self, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        true = CountingOracle()(requests)
        guesses = {
            key: self.bias * ms * float(np.exp(self.error * np.random.default_rng(int(key[:8], 16)).normal()))
            for (key, _), ms in zip(requests, true, strict=True)
        }
        self.guessed |= {key: ms for key, ms in guesses.items() if key not in self.truth.asked}
        return list(guesses.values())

    def confirm(self, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        for key, _ in requests:
            self.guessed.pop(key, None)
        return self.truth(requests)

    def guess(self, key: str) -> tuple[float, float] | None:
        ms = self.guessed.get(key)
        return None if ms is None else (ms, ms * float(np.exp(-self.deviation)))


def problem_of(error: float) -> tuple[Problem, Guessing]:
    graph = graph_of(5)
    default = legalize(graph, np.ones(graph.num_edges, dtype=np.int64), rule_set("tvm"))
    oracle = Guessing(error)
    problem = Problem(
        graph,
        default,
        rule_set("wide"),
        oracle,
        Budget(kernels=120),
        confirm=oracle.confirm,
        guessed=oracle.guess,
        predicts=lambda: True,
    )
    problem.cost_default()
    return problem, oracle


@pytest.mark.parametrize("error", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("name", ["annealing", "greedy", "random"])
def test_the_best_plan_was_measured_whatever_was_predicted(name: str, error: float) -> None:
    problem, oracle = problem_of(error)
    assert not oracle.guessed
    strategy(name)(problem, np.random.default_rng(0))
    keys = {key for key in problem.paid_keys(problem.best) if key}
    assert keys <= set(oracle.truth.asked)
    assert problem.best_ms <= problem.default_ms
    assert len(oracle.truth.asked) == len(set(oracle.truth.asked))
    assert problem.spent == len(oracle.truth.asked)


def test_what_an_oracle_guessed_for_another_problem_is_not_known_to_this_one() -> None:
    first, oracle = problem_of(0.1)
    apart = np.arange(first.graph.num_ops, dtype=np.int32)
    wide = legalize(first.graph, np.ones(first.graph.num_edges, dtype=np.int64), rule_set("wide"))
    assert first.expected(wide) < first.default_ms
    second = Problem(
        first.graph,
        first.default,
        first.rules,
        oracle,
        Budget(kernels=120),
        confirm=oracle.confirm,
        guessed=oracle.guess,
    )
    second.cost_default()
    assert np.isfinite(second.expected(apart))
    assert np.isnan(second.known_cost(wide))
    assert np.isfinite(second.expected(wide))


def test_the_latest_guess_counts() -> None:
    problem, oracle = problem_of(0.1)
    partition = with_news(problem)
    before_ms = problem.expected(partition)
    added_ms = sum(oracle.guessed.values())
    oracle.guessed = {key: 2 * ms for key, ms in oracle.guessed.items()}
    assert problem.expected(partition) == pytest.approx(before_ms + added_ms)


def test_what_may_be_the_best_is_measured_and_nothing_else() -> None:
    problem, oracle = problem_of(0.0)
    measured = len(oracle.truth.asked)
    oracle.bias = 1e6
    problem.cost([with_news(problem)])
    assert oracle.guessed
    assert len(oracle.truth.asked) == measured

    problem, oracle = problem_of(0.0)
    oracle.deviation = 3.0  # it may take a twentieth
    problem.cost([with_news(problem)])
    assert not oracle.guessed
    assert len(oracle.truth.asked) > measured


def test_a_partition_is_measured_no_further_than_it_may_be_the_best() -> None:
    problem, oracle = problem_of(0.0)
    oracle.bias = 0.5  # kernels look twice as fast as they are
    in_part = 0
    rng = np.random.default_rng(0)
    for _ in range(20):
        before = set(oracle.truth.asked)
        partition = legalize(problem.graph, rng.integers(0, 9, problem.graph.num_edges), problem.rules)
        problem.cost([partition])
        keys = set(problem.paid_keys(partition))
        in_part += bool(keys & (set(oracle.truth.asked) - before)) and bool(keys & oracle.guessed.keys())
    assert in_part


def with_news(problem: Problem) -> Int32:
    """A partition with a kernel that is not known yet, by merging at one edge."""
    outside = np.flatnonzero(problem.default[problem.graph.edge_src] != problem.default[problem.graph.edge_dst])
    merged = (problem.merged(problem.default, np.array([edge], dtype=np.int32)) for edge in outside)
    return next(one for one in merged if any(key and key not in problem.known for key in problem.paid_keys(one)))


def test_good_predictions_save_measurements() -> None:
    problem, oracle = problem_of(0.01)
    strategy("annealing")(problem, np.random.default_rng(0))
    measuring = CountingOracle()
    all_measured = Problem(problem.graph, problem.default, problem.rules, measuring, Budget(kernels=120))
    all_measured.cost_default()
    strategy("annealing")(all_measured, np.random.default_rng(0))
    assert problem.best_ms <= 1.01 * all_measured.best_ms
    assert len(oracle.truth.asked) < 0.5 * len(measuring.asked)


def test_what_is_foreseen_is_expected_to_gain_and_was_not_measured() -> None:
    problem, oracle = problem_of(0.3)
    measured = len(oracle.truth.asked)
    wanted = foreseen(problem, problem.default)
    assert problem.expected(wanted) < problem.default_ms
    assert len(oracle.truth.asked) == measured


def test_following_good_predictions_leads_near_the_best_that_annealing_finds() -> None:
    problem, oracle = problem_of(0.01)
    follow(problem)
    followed_ms, measured = problem.best_ms, len(oracle.truth.asked)
    assert followed_ms < problem.default_ms
    strategy("annealing")(problem, np.random.default_rng(0))
    assert followed_ms <= 1.05 * problem.best_ms
    assert measured <= len(oracle.truth.asked)


def test_what_looked_too_slow_is_measured_once_predictions_are_doubted_more() -> None:
    problem, oracle = problem_of(0.0)
    oracle.bias, oracle.deviation = 20.0, 2.0  # e to the power of 2 is 7.4
    news = with_news(problem)
    measured = len(oracle.truth.asked)
    problem.cost([news])
    assert len(oracle.truth.asked) == measured
    while problem.doubt_more():
        problem.cost([news])
    assert len(oracle.truth.asked) > measured


def test_what_looks_too_slow_by_less_than_it_may_be_off_is_measured() -> None:
    problem, oracle = problem_of(0.0)
    oracle.bias, oracle.deviation = 100.0, 5.0  # e to the power of 5 is 148
    assert np.array_equal(foreseen(problem, problem.default), problem.default)
    follow(problem)
    assert problem.best_ms < problem.default_ms


def test_what_is_sure_to_be_too_slow_is_not_measured() -> None:
    problem, oracle = problem_of(0.0)
    oracle.bias, oracle.deviation = 20.0, 0.1
    measured = len(oracle.truth.asked)
    follow(problem)
    assert len(oracle.truth.asked) == measured


def test_merges_on_both_sides_of_a_kernel_are_foreseen_together() -> None:
    graph = synthetic(4, np.random.default_rng(20), reach=1, far=0.0)
    assert set(graph.pattern) <= {Pattern.ELEMENTWISE, Pattern.BROADCAST}
    by_size = {1: 1.0, 2: 1.0, 3: 3.0, 4: 0.5}
    problem = Problem(
        graph,
        np.array([0, 1, 1, 2], dtype=np.int32),
        rule_set("wide"),
        lambda requests: [by_size[len(kernel.ops)] for _, kernel in requests],
        predicts=lambda: True,
    )
    problem.cost_default()
    assert foreseen(problem, problem.default).tolist() == [0, 0, 0, 0]
