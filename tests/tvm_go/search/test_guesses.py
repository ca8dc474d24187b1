"""Predictions save measurements and never choose: what is best was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.tvm_go.search.test_strategies import CountingOracle, graph_of
from tvm_go.kernels import Kernel
from tvm_go.legalize import legalize
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem, strategy


class Guessing:
    """Predicts with an error that depends on the kernel, and measures when asked to confirm."""

    def __init__(self, error: float) -> None:
        self.error = error
        self.truth = CountingOracle()
        self.guessed: set[str] = set()

    def __call__(self, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        self.guessed.update(key for key, _ in requests if key not in self.truth.asked)
        true = CountingOracle()(requests)
        return [
            ms * float(np.exp(self.error * np.random.default_rng(int(key[:8], 16)).normal()))
            for (key, _), ms in zip(requests, true, strict=True)
        ]

    def confirm(self, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        self.guessed.difference_update(key for key, _ in requests)
        return self.truth(requests)

    def is_guess(self, key: str) -> bool:
        return key in self.guessed


def problem_of(error: float) -> tuple[Problem, Guessing]:
    graph = graph_of(5)
    default = legalize(graph, np.ones(graph.num_edges, dtype=np.int64), rule_set("tvm"))
    oracle = Guessing(error)
    problem = Problem(
        graph, default, rule_set("wide"), oracle, Budget(kernels=120), confirm=oracle.confirm, is_guess=oracle.is_guess
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


def test_good_predictions_save_measurements() -> None:
    problem, oracle = problem_of(0.01)
    strategy("annealing")(problem, np.random.default_rng(0))
    measuring = CountingOracle()
    all_measured = Problem(problem.graph, problem.default, problem.rules, measuring, Budget(kernels=120))
    all_measured.cost_default()
    strategy("annealing")(all_measured, np.random.default_rng(0))
    assert problem.best_ms <= 1.01 * all_measured.best_ms
    assert len(oracle.truth.asked) < 0.5 * len(measuring.asked)
