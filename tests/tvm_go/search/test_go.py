"""The learned strategy for fusion, by policies that are trained in the test or not at all."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic import synthetic
from tests.tvm_go.learn.fusing import fusing_policy, fusing_problem, simple_oracle
from tvm_go.errors import UsageError
from tvm_go.legalize import check_partition
from tvm_go.policy import Checkpoint, Policy, PolicyConfig, save_policy
from tvm_go.rules import RULE_SET_NAMES, rule_set
from tvm_go.search import Problem, go, strategy


@pytest.mark.parametrize("rules", RULE_SET_NAMES)
def test_what_it_finds_is_legal_never_worse_than_the_default_and_within_budget(rules: str) -> None:
    problem = fusing_problem(1, 20, kernels=40, rules=rules)
    go.search_with(fusing_policy(), problem, np.random.default_rng(0))
    check_partition(problem.graph, problem.best, rule_set(rules))
    assert problem.best_ms <= problem.default_ms
    assert problem.spent <= 40


def test_the_same_seed_gives_the_same_plan() -> None:
    found = []
    for _ in range(2):
        problem = fusing_problem(2, 20, kernels=40)
        go.search_with(fusing_policy(), problem, np.random.default_rng(3))
        found.append((problem.best.tolist(), problem.history))
    assert found[0] == found[1]


def test_a_budget_that_is_spent_asks_for_nothing_more() -> None:
    problem = fusing_problem(3, kernels=1)
    asked = problem.asked
    go.search_with(fusing_policy(), problem, np.random.default_rng(0))
    assert problem.asked == asked


@pytest.mark.parametrize("num_ops", [0, 1])
def test_graphs_without_edges_keep_the_default(num_ops: int) -> None:
    graph = synthetic(num_ops, np.random.default_rng(0))
    problem = Problem(graph, np.arange(num_ops, dtype=np.int32), rule_set("open"), simple_oracle)
    problem.cost_default()
    go.search_with(fusing_policy(), problem, np.random.default_rng(0))
    assert problem.best_ms == problem.default_ms


def test_where_the_oracle_predicts_the_first_plans_are_better_from_the_start() -> None:
    best = []
    for predicts in (False, True):
        problem = fusing_problem(5, 20)
        problem.predicts = partial(bool, predicts)
        policy = fusing_policy()
        go.zero_shot(policy, problem, go.described(problem), np.random.default_rng(0))
        best.append(problem.best_ms)
    assert best[1] < best[0]


def test_operators_that_no_training_saw_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    problem = fusing_problem(4, kernels=40)
    path = tmp_path / "kernels.pt"
    save_policy(Checkpoint(fusing_policy(), {"op_types": list(problem.graph.op_names[1:])}), path)
    monkeypatch.setattr(go, "SHIPPED", path)
    with caplog.at_level(logging.WARNING, "tvm_go.search"):
        go.search(problem, np.random.default_rng(0))
    assert f"the policy was not trained on {problem.graph.op_names[0]};" in caplog.text


def test_a_policy_that_is_missing_or_decides_something_else_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = fusing_problem(5)
    monkeypatch.setattr(go, "SHIPPED", tmp_path / "none.pt")
    with pytest.raises(UsageError, match=r"finds no policy at .*none\.pt; train one"):
        go.search(problem, np.random.default_rng(0))
    save_policy(Checkpoint(Policy(PolicyConfig(width=16, heads=2))), tmp_path / "none.pt")
    with pytest.raises(UsageError, match="decides placement, not fusion"):
        go.search(problem, np.random.default_rng(0))


def test_a_policy_of_ones_own_searches_as_a_checkpoint_and_from_its_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = fusing_problem(6).graph.op_names
    checkpoint = Checkpoint(fusing_policy(3), {"op_types": list(names[1:])})
    save_policy(checkpoint, tmp_path / "mine.pt")
    found = []
    for policy in (checkpoint, tmp_path / "mine.pt", str(tmp_path / "mine.pt")):
        problem = fusing_problem(6, kernels=40)
        with caplog.at_level(logging.WARNING, "tvm_go.search"):
            strategy("go", policy)(problem, np.random.default_rng(0))
        assert f"not trained on {names[0]};" in caplog.text
        found.append((problem.best.tolist(), problem.history))
    assert found[0] == found[1] == found[2]


def test_a_policy_that_cannot_fuse_and_a_strategy_without_a_policy_are_refused(tmp_path: Path) -> None:
    places = Checkpoint(Policy(PolicyConfig(width=16, heads=2)))
    with pytest.raises(UsageError, match="the policy decides placement, not which ops are fused"):
        strategy("go", places)
    plans = Checkpoint(Policy(PolicyConfig(("placement", "fusion"), width=16, heads=2, plans=True)))
    with pytest.raises(UsageError, match="the policy decides whole plans, not which ops are fused"):
        strategy("go", plans)
    save_policy(plans, tmp_path / "plans.pt")
    with pytest.raises(UsageError, match=r"plans\.pt improves whole plans on simulated machines; .* --tasks fusion"):
        strategy("go", tmp_path / "plans.pt")
    with pytest.raises(UsageError, match="strategy 'greedy' uses no policy; choose 'go' for that"):
        strategy("greedy", places)
