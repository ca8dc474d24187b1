"""What kernels are expected to take: logs and predictions together, caution where nothing was measured."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic import synthetic
from cost_model.dataset import dataset
from cost_model.predictor import Guess, Predictor
from cost_model.regressor import CostModel
from cost_model.structure import structure
from relay_passes.targets import as_target
from tests.cost_model.test_predictor import CPU, TARGET, records
from tests.tvm_go.learn.fusing import default_of
from tuning_logs.files import text_of
from tvm_go.errors import LogError, UsageError
from tvm_go.expected_times import ExpectedTimes, medians
from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import describe, members, paid_keys, returned_values
from tvm_go.legalize import te_takes
from tvm_go.lowering import TE, TIR
from tvm_go.rules import rule_set
from tvm_go.search import Budget
from tvm_go.search.foreseen import follow


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    model = CostModel.fit(dataset(records()), rounds=20, members=2, networks=1, epochs=2)
    return Predictor(model, TARGET, CPU, records())


def guesses_of(predictor: Predictor, graph: OpGraph, kernel: Int32) -> list[Guess | None]:
    """Of the distinct kernels of a partition."""
    starts, ops = members(kernel)
    returned = returned_values(graph, kernel)
    kernels = {
        key: describe(graph, ops[starts[number] : starts[number + 1]], returned)
        for number, key in enumerate(paid_keys(graph, kernel))
        if key
    }
    can_take = [[one for one in (TE, TIR) if one == TIR or te_takes(graph, each.ops)] for each in kernels.values()]
    return predictor.guess([structure(graph, each) for each in kernels.values()], can_take)


def test_a_slow_minute_in_one_of_three_logs_does_not_count_and_the_best_lowering_does() -> None:
    one = next(record for record in records(4) if record.succeeded and record.lowering == TE.to_text())
    logs = [[replace(one, median_ms=ms)] for ms in (2.0, 90.0, 1.0)]
    assert medians(logs) == {one.key: 2.0}
    assert medians([*logs, [replace(one, lowering=TIR.to_text(), median_ms=0.5)]]) == {one.key: 0.5}
    failed = replace(one, median_ms=math.nan, error_kind="build", error_msg="no")
    assert medians([[failed]]) == {one.key: math.inf}


def test_a_logged_kernel_takes_the_mean_of_log_and_prediction_another_what_is_predicted_with_caution(
    predictor: Predictor,
) -> None:
    graph = synthetic(12, np.random.default_rng(0))
    default = default_of(graph)
    rules = rule_set("open")
    alone = ExpectedTimes({}, predictor)
    before = alone.problem(graph, default, rules).known
    key = max(before, key=lambda one: before[one])
    logged = ExpectedTimes({key: 4.0}, predictor).problem(graph, default, rules).known
    assert {one for one in before if logged[one] != before[one]} == {key}
    sure = replace(alone, logged=dict.fromkeys(before, 1.0), known={}).problem(graph, default, rules).known
    predicted = {one: ms**2 for one, ms in sure.items()}
    assert logged[key] == pytest.approx(math.sqrt(4.0 * predicted[key]))
    by_sum = [guess.sum_ms for guess in guesses_of(predictor, graph, default) if guess is not None]
    assert sorted(before.values()) == pytest.approx(sorted(by_sum))
    failed = ExpectedTimes({key: math.inf}, predictor).problem(graph, default, rules)
    assert failed.default_ms == math.inf


def test_problems_without_a_budget_share_what_was_asked_and_those_with_one_do_not(predictor: Predictor) -> None:
    graph = synthetic(12, np.random.default_rng(0))
    times, default, rules = ExpectedTimes({}, predictor), default_of(graph), rule_set("open")
    first = times.problem(graph, default, rules)
    assert first.known is times.known and first.known
    assert times.problem(graph, default, rules, Budget(kernels=5)).known is not times.known


def test_under_a_budget_count_the_kernels_that_a_search_by_predictions_would_measure(predictor: Predictor) -> None:
    graph = synthetic(12, np.random.default_rng(0))
    times, default, rules = ExpectedTimes({}, predictor), default_of(graph), rule_set("open")
    problem = times.problem(graph, default, rules, Budget(kernels=50))
    first = problem.spent
    assert first == len({key for key in problem.paid_keys(default) if key})
    apart = np.arange(graph.num_ops, dtype=np.int32)
    apart_ms = problem.expected(apart)
    assert problem.spent == first
    assert problem.cost([apart]) == [apart_ms]
    assert (problem.spent > first) == (apart_ms < problem.default_ms)
    follow(problem)
    assert problem.best_ms < problem.default_ms
    assert all(problem.guessed(key) is None for key in problem.paid_keys(problem.best))
    assert first < problem.spent < problem.asked


def test_where_a_target_takes_no_tir_kernels_beyond_te_fail(predictor: Predictor) -> None:
    graph = synthetic(12, np.random.default_rng(0))
    whole = np.zeros(graph.num_ops, dtype=np.int32)
    assert not te_takes(graph, list(range(graph.num_ops)))
    problem = ExpectedTimes({}, predictor, (TE,)).problem(graph, default_of(graph), rule_set("open"))
    assert problem.expected(whole) == math.inf > problem.default_ms


def test_logs_of_other_targets_missing_logs_and_targets_without_a_model_are_one_line(
    predictor: Predictor, tmp_path: Path
) -> None:
    log, model = tmp_path / "log.jsonl", tmp_path / "cost.model"
    log.write_bytes(text_of(records(5)))
    predictor.model.save(model)
    read = ExpectedTimes.read(as_target(TARGET), [log], model)
    assert read.logged == medians([records(5)])
    other = as_target("llvm -mcpu=core-avx2")
    with pytest.raises(UsageError, match=r"log\.jsonl holds no kernel of 'llvm .*core-avx2.*targets in it: 'llvm"):
        ExpectedTimes.read(other, [log], model)
    with pytest.raises(LogError, match=r"there is no log .*missing"):
        ExpectedTimes.read(other, [tmp_path / "missing.jsonl"], model)
    with pytest.raises(UsageError, match=r"no cost model ships for 'llvm .*there are: avx512"):
        ExpectedTimes.read(other)
