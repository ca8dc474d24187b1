"""The oracle asks the log before it measures, and never chooses a lowering that fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import tvm
from tvm import relay

from cost_model import build_worker
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle, task_key
from cost_model.predictor import Guess, Predictor
from cost_model.structure import Structure
from relay_passes.targets import as_target
from tests.cost_model.faults import faulty_build
from tuning_logs import KernelRecord, TuningLog
from tvm_go.kernels import Kernel, describe, kernel_keys, returned_values
from tvm_go.lowering import TE, TIR, Lowering
from tvm_go.model import Model

_TARGET = as_target("native")
_TILED = Lowering("tir", '{"vectors":1,"rows":[1],"unroll":1,"columns_first":true}')


class Case:
    """A small model as one kernel, and oracles that share a log."""

    def __init__(self, body: relay.Expr, measurer: Measurer, log: Path) -> None:
        free = relay.Function(relay.analysis.free_vars(body), body)
        self.model = Model.prepare(tvm.IRModule.from_expr(free), None, _TARGET)
        everything = np.zeros(self.model.graph.num_ops, dtype=np.int32)
        (self.key,) = kernel_keys(self.model.graph, everything)
        ops = np.arange(self.model.graph.num_ops, dtype=np.int32)
        self.kernel: Kernel = describe(self.model.graph, ops, returned_values(self.model.graph, everything))
        self.measurer, self.log = measurer, TuningLog(log)

    def oracle(self, *tuned: Lowering, try_tir: bool = True) -> KernelOracle:
        return KernelOracle(str(_TARGET), self.measurer, self.log, tuned={self.key: tuned}, try_tir=try_tir)

    def ask(self, oracle: KernelOracle) -> float:
        (milliseconds,) = oracle.ask(self.model.flow, self.model.graph, [(self.key, self.kernel)])
        return milliseconds

    def logged(self) -> list[str]:
        return [record.lowering for record in self.log.load() if isinstance(record, KernelRecord)]


@pytest.fixture
def sums(measurer: Measurer, tmp_path: Path) -> Case:
    """One reduction: TE and TIR both take it."""
    x, y = relay.var("x", shape=(16, 64)), relay.var("y", shape=(16, 64))
    return Case(relay.sum(relay.nn.relu(x + y), axis=0), measurer, tmp_path / "log.jsonl")


def test_each_lowering_is_measured_once_and_the_fastest_counts(sums: Case) -> None:
    first = sums.oracle()
    milliseconds = sums.ask(first)
    assert set(first.answers[sums.key]) == {TE, TIR}
    assert first.failures() == []
    assert (first.measured, first.hits) == (2, 0)
    assert milliseconds == min(record.median_ms for record in first.answers[sums.key].values())
    assert first.answers[sums.key][first.best_lowering(sums.key)].median_ms == milliseconds
    assert first.te_ms(sums.key) == first.answers[sums.key][TE].median_ms
    assert sums.ask(first) == milliseconds
    assert (first.measured, first.hits) == (2, 0)
    again = sums.oracle()
    assert sums.ask(again) == milliseconds
    assert (again.measured, again.hits) == (0, 2)
    assert again.best_lowering(sums.key) == first.best_lowering(sums.key)
    assert sorted(sums.logged()) == ["te", "tir"]


def test_only_the_lowerings_that_the_log_lacks_are_measured(sums: Case) -> None:
    sums.ask(sums.oracle(try_tir=False))
    assert sums.logged() == ["te"]
    with_tir = sums.oracle()
    sums.ask(with_tir)
    assert (with_tir.measured, with_tir.hits) == (1, 1)
    tuned = sums.oracle(_TILED)
    sums.ask(tuned)
    assert (tuned.measured, tuned.hits) == (1, 2)
    assert sums.logged() == ["te", "tir", _TILED.to_text()]


def test_te_is_not_tried_on_what_it_never_takes(measurer: Measurer, tmp_path: Path) -> None:
    x = relay.var("x", shape=(16, 64))
    case = Case(x - relay.mean(x * x, axis=-1, keepdims=True) / relay.sum(x, axis=-1, keepdims=True), measurer,
                tmp_path / "log.jsonl")  # fmt: skip
    oracle = case.oracle()
    assert case.ask(oracle) < float("inf")
    assert set(oracle.answers[case.key]) == {TIR}
    assert oracle.te_ms(case.key) == float("inf")


@pytest.mark.parametrize(("fault", "kind"), [("wrong numbers", "wrong_numbers"), ("endless", "run_timeout")])
@pytest.mark.parametrize(("failing", "other"), [(TE, TIR), (TIR, TE)], ids=["te", "tir"])
def test_a_lowering_that_fails_is_never_chosen_though_another_is(
    sums: Case, monkeypatch: pytest.MonkeyPatch, failing: Lowering, other: Lowering, fault: str, kind: str
) -> None:
    monkeypatch.setattr(build_worker, "build_kernels", faulty_build(task_key(sums.key, failing), fault))
    oracle = sums.oracle()
    milliseconds = sums.ask(oracle)
    answers = oracle.answers[sums.key]
    assert answers[failing].error_kind == kind, answers[failing].error_msg
    assert not answers[failing].succeeded
    assert oracle.best_lowering(sums.key) == other
    assert milliseconds == answers[other].median_ms < float("inf")
    assert oracle.failures() == [answers[failing]]
    assert (oracle.te_ms(sums.key) == float("inf")) == (failing == TE)
    monkeypatch.undo()
    replay = sums.oracle()
    assert sums.ask(replay) == milliseconds
    assert replay.measured == 0


def test_a_kernel_whose_lowerings_all_fail_costs_infinity(sums: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_worker, "build_kernels", faulty_build("", "error in code generation"))
    oracle = sums.oracle()
    assert sums.ask(oracle) == float("inf")
    assert len(oracle.failures()) == 2
    assert "LLVM says no" in oracle.best(sums.key).error_msg


class Knowing:
    """Stands in for a predictor that knows one answer."""

    def __init__(self, guess: Guess | None) -> None:
        self.answer = guess
        self.learned: list[KernelRecord] = []

    def guess(self, structures: Sequence[Structure], lowerings: Sequence[Sequence[Lowering]]) -> list[Guess | None]:
        return [self.answer for _ in structures]

    def learn(self, record: KernelRecord) -> bool:
        self.learned.append(record)
        return True


def test_a_prediction_stands_in_until_it_is_confirmed(sums: Case) -> None:
    oracle, predictor = sums.oracle(), Knowing(Guess(0.5, 0.5, 0.4, (TIR,)))
    oracle.predictor = cast(Predictor, predictor)
    assert sums.ask(oracle) == 0.5
    assert oracle.is_guess(sums.key)
    assert oracle.guessed_ms(sums.key) == (0.5, 0.4)
    assert oracle.measured == 0
    flow, graph = sums.model.flow, sums.model.graph
    (milliseconds,) = oracle.confirm(flow, graph, [(sums.key, sums.kernel)])
    assert (oracle.measured, sums.logged()) == (1, ["tir"])  # what is predicted to be slow is not measured
    assert milliseconds == sums.ask(oracle) != 0.5
    assert not oracle.is_guess(sums.key)
    assert oracle.guessed_ms(sums.key) is None
    assert [record.lowering for record in predictor.learned] == ["tir"]


def test_what_is_still_predicted_is_predicted_anew_when_the_predictor_has_learned(sums: Case) -> None:
    oracle, predictor = sums.oracle(), Knowing(Guess(0.5, 0.5, 0.4, (TIR,)))
    oracle.predictor = cast(Predictor, predictor)
    flow, graph = sums.model.flow, sums.model.graph
    oracle.ask(flow, graph, [(sums.key, sums.kernel), ("another", sums.kernel)])
    predictor.answer = Guess(0.7, 0.7, 0.6, (TIR,))
    assert oracle.guessed_ms("another") == (0.5, 0.4)
    oracle.confirm(flow, graph, [(sums.key, sums.kernel)])
    assert oracle.guessed_ms("another") == (0.7, 0.6)
    assert oracle.guessed_ms(sums.key) is None


def test_what_the_predictor_does_not_know_is_measured_and_what_is_logged_not_predicted(sums: Case) -> None:
    unknowing = sums.oracle()
    unknowing.predictor = cast(Predictor, Knowing(None))
    milliseconds = sums.ask(unknowing)
    assert unknowing.measured == 2
    again = sums.oracle()
    again.predictor = cast(Predictor, Knowing(Guess(0.5, 0.5, 0.4, (TE, TIR))))
    assert sums.ask(again) == milliseconds
    assert (again.measured, again.hits) == (0, 2)
