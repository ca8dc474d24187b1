"""Tuning as a whole, on a small real model: real builds, a real tracker and server."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

import tvm_go
from cost_model import MeasureConfig
from cost_model.predictor import Guess
from tests.models import write_small_onnx
from tests.tuned import BUDGET, Tuned
from tests.tuning_logs import samples
from tuning_logs import KernelRecord, PlanRecord, TuningLog
from tvm_go import tuning, verification
from tvm_go.callbacks import Progress, TuneCallbacks
from tvm_go.errors import LogError, PlanError, UnsupportedModelError, UsageError
from tvm_go.lowering import TIR
from tvm_go.model import Model
from tvm_go.plan import Decisions, GraphPlan
from tvm_go.search import Problem
from tvm_go.tuning import tune_graph

_QUICK = MeasureConfig(number=1, repeat=2, min_repeat_ms=0.0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]]:
    path = write_small_onnx(tmp_path_factory.mktemp("model") / "small.onnx")
    mod, params = relay.frontend.from_onnx(onnx.load(str(path)))
    return mod, params


class Told(TuneCallbacks):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.kernels: list[tuple[KernelRecord, bool]] = []
        self.progress: list[Progress] = []
        self.plans: list[PlanRecord] = []

    def on_stage(self, name: str) -> None:
        self.stages.append(name)

    def on_measure(self, record: KernelRecord, from_log: bool) -> None:
        self.kernels.append((record, from_log))

    def on_progress(self, progress: Progress) -> None:
        self.progress.append(progress)

    def on_plan(self, record: PlanRecord) -> None:
        self.plans.append(record)


def outputs(library: object, values: np.ndarray) -> np.ndarray:
    executor = GraphModule(library["default"](tvm.cpu()))  # type: ignore[index]
    executor.set_input("x", values)
    executor.run()
    return np.asarray(executor.get_output(0).numpy())


def test_tune_build_resume_and_replay(small: tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]], tmp_path: Path) -> None:
    mod, params = small
    log = tmp_path / "log.jsonl"
    told = Told()
    first = tune_graph(mod, params, log=log, budget=15, measure=_QUICK, name="small", callbacks=told)
    assert told.stages == ["prepare", "default", "variants", "search", "verify"]
    assert not any(from_log for _, from_log in told.kernels)
    assert told.plans[-1].plan_key in (first.plan.key, told.plans[0].plan_key)
    last = told.progress[-1]
    assert (last.budget, last.predicted, last.trials) == (15, 0, 0)
    assert last.kernels == len({record.key for record, _ in told.kernels})
    sums = [progress.best_ms for progress in told.progress]
    assert sums == sorted(sums, reverse=True)
    assert last.best_ms <= first.plan.provenance["sum_of_kernels_ms"] <= last.default_ms
    assert last.default_ms == first.plan.provenance["sum_of_default_kernels_ms"]
    assert first.from_log == 0
    assert first.verdict in ("faster", "same", "slower", "default")
    assert first.plan.provenance["verified"]
    assert json.dumps(first.to_json(), allow_nan=False)

    records = TuningLog(log).load()
    kernels = [record for record in records if isinstance(record, KernelRecord)]
    assert [record for record, _ in told.kernels] == kernels
    assert len(kernels) == len({(record.key, record.lowering) for record in kernels}) == first.measured
    assert len({record.key for record in kernels}) <= 15 + first.kernels_default
    verified = [record.plan_key for record in records if isinstance(record, PlanRecord)]
    assert 1 <= len(set(verified)) == len(verified) <= 3  # the plan, and candidates whose kernels' sums were close

    again = Told()
    replay = tune_graph(mod, params, log=log, budget=15, measure=_QUICK, name="small", callbacks=again)
    assert all(from_log for _, from_log in again.kernels)
    assert again.progress[-1] == last
    assert again.plans == told.plans
    assert (replay.measured, replay.from_log) == (0, first.measured)
    assert replay.plan.to_json() == first.plan.to_json()
    assert len(TuningLog(log).load()) == len(records)

    values = np.random.default_rng(0).standard_normal((1, 3, 24, 24)).astype("float32")
    with tvm.transform.PassContext(opt_level=3):
        expected = outputs(relay.build(mod, tvm.target.Target(first.plan.target), params=params), values)
    built = tvm_go.build(mod, params, plan=first.plan)
    np.testing.assert_allclose(outputs(built, values), expected, rtol=1e-4, atol=1e-6)


def test_a_cost_model_that_thinks_little_of_te_leaves_the_default_measured(
    small: tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OnlyTir:
        def __init__(self, *_: object) -> None: ...

        def guess(self, structures: list[object], _: object) -> list[Guess]:
            return [Guess(1e-4, 1e-4, 5e-5, (TIR,)) for _ in structures]

        def learn(self, record: KernelRecord) -> bool:
            return False

    monkeypatch.setattr(tuning, "cost_model_of", lambda *_, **__: object())
    monkeypatch.setattr(tuning, "Predictor", OnlyTir)
    mod, params = small
    log = tmp_path / "l"
    result = tune_graph(
        mod, params, log=log, budget=12, measure=_QUICK, cost_model="any", decide=["lowering", "fusion"]
    )
    assert result.kernels
    assert all(kernel.source in ("measured", "log") for kernel in result.kernels)
    kernels = [record for record in TuningLog(log).load() if isinstance(record, KernelRecord)]
    assert sum(record.lowering == "te" for record in kernels) >= result.kernels_default


def test_a_candidate_that_was_faster_is_returned_where_the_plan_of_the_search_is_not(
    small: tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]],
    tuned: Tuned,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the log of such a run: its kernels are known, and only what follows from the verdicts is left to do.

    A candidate may have had kernels that were not asked for yet; when it is returned, the lowerings of all are known.
    """
    verdicts = ["faster", "slower", "faster"]
    seen: list[GraphPlan] = []

    def forms_and_kernels(plan: GraphPlan) -> tuple[str, list[int]]:
        return plan.workload, plan.kernel.tolist()

    def verified(default: Model, model: Model, plan: GraphPlan, *_: object, **__: object) -> PlanRecord:
        seen.append(plan)
        return samples.plan(plan_key=plan.key, workload=plan.workload, verdict=verdicts[len(seen) - 1])

    def fastest(
        pairs: list[tuple[Problem, Model]], speedup: Callable[[Problem, Model], float]
    ) -> tuple[Problem, Model]:
        speedup(*pairs[-1])
        return pairs[-1]

    for place in (tuning, verification):
        monkeypatch.setattr(place, "verified", verified)
    monkeypatch.setattr(tuning, "fastest", fastest)
    mod, params = small
    log = shutil.copy(tuned.log, tmp_path / "l")
    result = tune_graph(mod, params, log=log, budget=BUDGET, measure=_QUICK)
    assert forms_and_kernels(seen[2]) == forms_and_kernels(seen[0])
    assert seen[2].key == result.plan.key
    assert result.verdict in ("faster", "default")  # default: the candidate is TVM's own


def test_an_interrupt_keeps_the_log_and_gives_the_best_plan_so_far(
    small: tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]], tmp_path: Path
) -> None:
    class Interrupting(TuneCallbacks):
        def on_progress(self, progress: Progress) -> None:
            if progress.best_ms < float("inf"):
                raise KeyboardInterrupt

    mod, params = small
    result = tune_graph(mod, params, log=tmp_path / "l", budget=40, measure=_QUICK, callbacks=Interrupting())
    assert result.verdict == "interrupted"
    assert not result.plan.provenance["verified"]
    kernels = [record for record in TuningLog(tmp_path / "l").load() if isinstance(record, KernelRecord)]
    assert len(kernels) == result.measured > 0


def test_an_op_that_tvm_cannot_compile_is_named(tmp_path: Path) -> None:
    x = relay.var("x", shape=(1, 8, 8, 4))
    w = relay.var("w", shape=(3, 3, 4, 4))
    conv = relay.nn.conv2d(x, w, kernel_size=(3, 3), channels=4, data_layout="NWHC", kernel_layout="HWIO")
    mod = tvm.IRModule.from_expr(relay.Function([x, w], conv))
    with pytest.raises(UnsupportedModelError, match=r"(?s)TVM.*NWHC"):
        tune_graph(mod, log=tmp_path / "l", budget=5, measure=_QUICK)


def test_wrong_arguments_fail_before_anything_is_spent(
    small: tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]], tmp_path: Path
) -> None:
    mod, params = small
    with pytest.raises(UsageError, match="unknown strategy"):
        tvm_go.tune(mod, params, strategy="magic")
    with pytest.raises(UsageError, match="strategy 'annealing' uses no policy; choose 'go' for that"):
        tvm_go.tune(mod, params, policy="policy.pt")
    with pytest.raises(UsageError, match=r"cannot read policy\.pt"):
        tvm_go.tune(mod, params, strategy="go", policy="policy.pt")
    with pytest.raises(UsageError, match="unknown rule set"):
        tvm_go.tune(mod, params, rules="anything")
    with pytest.raises(UsageError, match="unknown target"):
        tvm_go.tune(mod, params, target="toaster")
    with pytest.raises(LogError, match="cannot"):
        tvm_go.tune(mod, params, log=tmp_path)


def test_a_plan_for_another_target_or_model_is_not_built(
    small: tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]],
) -> None:
    mod, params = small
    target = tvm.target.Target("llvm")
    model = Model.prepare(mod, params, target)
    plan = model.plan(model.default, "tvm")
    with pytest.raises(PlanError, match="is for target"):
        tvm_go.build(mod, params, target="llvm -mcpu=core-avx2", plan=plan)
    x = relay.var("x", shape=(4, 8))
    other = tvm.IRModule.from_expr(relay.Function([x], relay.nn.relu(x)))
    with pytest.raises(PlanError, match="is for model graph"):
        tvm_go.build(other, plan=plan)


def test_random_plans_of_the_model_build_and_keep_its_numbers(
    small: tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]],
) -> None:
    mod, params = small
    target = tvm.target.Target("llvm")
    model = Model.prepare(mod, params, target)
    values = np.random.default_rng(1).standard_normal((1, 3, 24, 24)).astype("float32")
    expected = outputs(tvm_go.build(mod, params, plan=model.plan(model.default, "tvm")), values)
    for seed in range(3):
        priority = np.random.default_rng(seed).integers(0, 3, size=model.graph.num_edges)
        plan = Decisions(priority).decode(model.graph, target=str(target), rules="tvm")
        np.testing.assert_allclose(
            outputs(tvm_go.build(mod, params, plan=plan), values), expected, rtol=1e-4, atol=1e-6
        )
