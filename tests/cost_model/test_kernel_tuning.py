"""Kernel tuning keeps to its budget, finds right and faster kernels, and takes the same steps from the same log."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm.contrib.graph_executor import GraphModule

import tvm_go
from cost_model.kernel_tuning import Progress, TuningConfig, search_worker, tune_kernels
from cost_model.measure import Measurer, RpcConfig
from cost_model.oracle import KernelOracle
from relay_passes.targets import as_target
from tests.cost_model.tunables import classifier, dying_search, prepared, tunable_kernels
from tuning_logs import KernelRecord, TuningLog
from tvm_go.errors import MeasureError
from tvm_go.kernels import kernel_keys
from tvm_go.lowering import TE, TIR, Lowering
from tvm_go.model import Model

SMALL = TuningConfig(tilings=4, traces=4, kernels_per_round=4, population=8, generations=1, warmup=8)


@pytest.fixture(scope="module")
def model() -> Model:
    return prepared(classifier())


def tune(model: Model, measurer: Measurer, log: Path, trials: int, **options: object) -> tuple[int, KernelOracle]:
    target = as_target("native")
    oracle = KernelOracle(str(target), measurer, TuningLog(log))
    kernels = tunable_kernels(model)
    spent = tune_kernels(kernels, oracle, trials=trials, seed=1, target=target, config=SMALL, **options)  # type: ignore[arg-type]
    return spent, oracle


def tuned_records(log: Path) -> list[KernelRecord]:
    records = [record for record in TuningLog(log).records if isinstance(record, KernelRecord)]
    return [record for record in records if Lowering.from_text(record.lowering).is_tuned]


@pytest.fixture(scope="module")
def tuned(model: Model, measurer: Measurer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    """A log of 24 trials, and what was told of them."""
    log = tmp_path_factory.mktemp("tuned") / "log.jsonl"
    told: list[Progress] = []
    spent, _ = tune(model, measurer, log, 24, on_progress=told.append)
    assert spent == 24
    return log, told


def test_the_budget_is_spent_to_the_trial_on_both_kinds(tuned: tuple[Path, list[Progress]]) -> None:
    log, told = tuned
    records = tuned_records(log)
    assert len(records) == 24
    assert {Lowering.from_text(record.lowering).kind for record in records} == {"tir", "metaschedule"}
    assert [progress.spent for progress in told] == sorted({progress.spent for progress in told})
    assert told[-1].spent == told[-1].trials == 24
    assert all(progress.now_ms <= progress.before_ms for progress in told)


def test_nothing_is_measured_twice_and_tuned_kernels_give_right_numbers(tuned: tuple[Path, list[Progress]]) -> None:
    log, _ = tuned
    records = tuned_records(log)
    assert len({(record.key, record.lowering) for record in records}) == len(records)
    good = [record for record in records if record.succeeded]
    assert all(record.numerics == "ok" for record in good)
    assert len(good) > len(records) / 2


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    model: Model, measurer: Measurer, tuned: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    log, _ = tuned
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    again = tmp_path / "log.jsonl"
    again.write_text("".join(lines), encoding="utf-8")
    spent, oracle = tune(model, measurer, again, 24)
    assert (spent, oracle.measured) == (24, 0)
    again.write_text("".join(lines[:-7]), encoding="utf-8")
    spent, oracle = tune(model, measurer, again, 24)
    assert (spent, oracle.measured) == (24, 7)
    assert again.read_text(encoding="utf-8").startswith("".join(lines[:-7]))
    # which kernels the last trials go to follows from times that are measured anew, how many there are does not
    assert len(tuned_records(again)) == len(tuned_records(log))


def test_tuned_kernels_are_what_a_plan_of_the_whole_model_builds(
    model: Model, measurer: Measurer, tuned: tuple[Path, list[Progress]]
) -> None:
    log, _ = tuned
    records = sorted(tuned_records(log), key=lambda record: record.median_ms)
    traced = {r.key: r.lowering for r in reversed(records) if r.succeeded and r.lowering.startswith("metaschedule")}
    assert traced
    keys = kernel_keys(model.graph, model.default)
    lowering = [Lowering.from_text(traced[key]) if key in traced else TIR for key in keys]
    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal(shape, np.float32) for name, shape in _SHAPES.items()}
    plans = [model.plan(model.default, "tvm", lowering), model.plan(model.default, "tvm")]
    ours, default = (_outputs(tvm_go.build(classifier(), plan=plan), inputs) for plan in plans)
    np.testing.assert_allclose(ours, default, rtol=1e-4, atol=1e-6)


_SHAPES = {"x": (32, 96), "w": (96, 96)}


def _outputs(library: object, inputs: dict[str, np.ndarray]) -> np.ndarray:
    executor = GraphModule(library["default"](tvm.cpu(0)))  # type: ignore[index]
    executor.run(**inputs)
    return executor.get_output(0).numpy()


def test_tuning_does_not_begin_after_its_time(model: Model, measurer: Measurer, tmp_path: Path) -> None:
    spent, oracle = tune(model, measurer, tmp_path / "log.jsonl", 24, seconds=0.0)
    assert spent == 0
    assert all(set(answers) == {TE, TIR} for answers in oracle.answers.values())


def test_without_a_server_nothing_is_spent(model: Model, tmp_path: Path) -> None:
    nobody = RpcConfig("127.0.0.1", 9, "nobody", wait_s=1.0)
    with pytest.raises(MeasureError, match=r"127\.0\.0\.1:9"):
        tune(model, Measurer(target="native", rpc=nobody), tmp_path / "log.jsonl", 24)
    assert not (tmp_path / "log.jsonl").exists()


def test_a_search_that_dies_costs_its_own_candidates_only(
    model: Model, measurer: Measurer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_worker, "propose", dying_search("metaschedule"))
    spent, _ = tune(model, measurer, tmp_path / "log.jsonl", 100)
    assert 0 < spent < 100
    assert {Lowering.from_text(r.lowering).kind for r in tuned_records(tmp_path / "log.jsonl")} == {"tir"}


def test_every_detail_is_json_that_names_its_kind(tuned: tuple[Path, list[Progress]]) -> None:
    for record in tuned_records(tuned[0]):
        kind, detail = Lowering.from_text(record.lowering).kind, json.loads(record.lowering.partition(" ")[2])
        assert isinstance(detail, dict if kind == "tir" else list)
