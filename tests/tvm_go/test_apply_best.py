"""`ApplyBest` builds by the best verified plan of this model and target in a log, else TVM's default."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relay

import tvm_go
from relay_passes.library import kernel_names
from relay_passes.target_set import TargetSet
from tests.tuning_logs import samples
from tuning_logs import TuningLog
from tvm_go.errors import LogError, UsageError
from tvm_go.model import Model

TARGET = "llvm"


def _net(width: int) -> tvm.IRModule:
    x = relay.var("x", shape=(4, 16), dtype="float32")
    w = relay.const(np.full((width, 16), 0.01, "float32"))
    return tvm.IRModule.from_expr(relay.exp(relay.nn.relu(relay.nn.dense(x, w))))


def _unfused(mod: tvm.IRModule) -> tuple[tvm_go.GraphPlan, str]:
    """A plan of one kernel for each op, and the hash by which records name the model."""
    model = Model.prepare(mod, None, tvm.target.Target(TARGET))
    kernel = np.arange(model.graph.num_ops, dtype=np.int32)
    return model.plan(kernel, "wide"), model.graph.structural_hash


@pytest.fixture
def note(tmp_path: Path) -> Callable[..., Path]:
    """Writes the record of a model's unfused plan into a log."""

    def write(mod: tvm.IRModule, *, names_model: bool = True, **changes: Any) -> Path:
        plan, workload = _unfused(mod)
        said = {"default_workload": workload} if names_model else {}
        fields = {"workload": plan.workload, "target": plan.target, "plan": plan.to_json(), "provenance": said}
        TuningLog(tmp_path / "log.jsonl").append(samples.plan(**(fields | changes)))
        return tmp_path / "log.jsonl"

    return write


def _kernels(mod: tvm.IRModule, log: Path, target: str = TARGET) -> int:
    with tvm_go.ApplyBest(log):
        built = tvm_go.build(mod, target=target)
    return len(kernel_names(built.get_graph_json()))


@pytest.mark.parametrize("names_model", [True, False], ids=["record that names its model", "older record"])
def test_a_plan_that_was_faster_is_built(note: Callable[..., Path], names_model: bool) -> None:
    mod = _net(8)
    log = note(mod, names_model=names_model)
    assert _kernels(mod, log) == 3
    with tvm_go.ApplyBest(log):
        built = tvm_go.build(mod, target=TARGET)
    executor = tvm.contrib.graph_executor.GraphModule(built["default"](tvm.cpu()))
    executor.run(x=np.ones((4, 16), "float32"))
    np.testing.assert_allclose(executor.get_output(0).numpy(), np.exp(0.16), rtol=1e-5)


def test_of_several_plans_the_one_that_gained_most_is_built(note: Callable[..., Path]) -> None:
    mod = _net(8)
    model = Model.prepare(mod, None, tvm.target.Target(TARGET))
    fused = model.plan(model.default, "tvm")
    note(mod, default_ms=3.0, plan_ms=2.0)
    log = note(mod, default_ms=3.0, plan_ms=1.0, plan=fused.to_json())
    assert _kernels(mod, log) == 1


@pytest.mark.parametrize("verdict", ["same", "slower", "wrong", "failed"])
def test_where_nothing_was_faster_the_default_is_built_and_nothing_said(
    note: Callable[..., Path], verdict: str
) -> None:
    mod = _net(8)
    log = note(mod, verdict=verdict)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _kernels(mod, log) == 1


@pytest.mark.parametrize("names_model", [True, False], ids=["record that names its model", "older record"])
def test_a_plan_of_another_model_is_never_taken_and_a_warning_says_that_there_is_none(
    note: Callable[..., Path], names_model: bool
) -> None:
    log = note(_net(8), names_model=names_model)
    with pytest.warns(UserWarning, match="no verified plan of this model for target 'llvm"):
        assert _kernels(_net(9), log) == 1


def test_a_plan_for_another_target_is_never_taken(note: Callable[..., Path]) -> None:
    mod = _net(8)
    log = note(mod)
    with pytest.warns(UserWarning, match="mcpu=x86-64"):
        assert _kernels(mod, log, "llvm -mcpu=x86-64") == 1


def test_what_was_fast_on_an_emulated_machine_is_not_taken(note: Callable[..., Path]) -> None:
    mod = _net(8)
    log = note(mod, device_kind="emulated cpu")
    with pytest.warns(UserWarning, match="no verified plan"):
        assert _kernels(mod, log) == 1


def test_a_plan_for_several_devices_is_built_for_all_of_them(note: Callable[..., Path]) -> None:
    mod = _net(8)
    devices = TargetSet.parse("cpu=llvm, opencl=opencl")
    plan = _unfused(mod)[0].to_json() | {"target": devices.text, "device": [0, 1, 0]}
    log = note(mod, target=devices.text, plan=plan)
    with tvm_go.ApplyBest(log):
        graph = json.loads(tvm_go.build(mod, target="cpu=llvm, opencl=opencl").get_graph_json())
    assert set(graph["attrs"]["device_index"][1]) == {1, 4}  # kDLCPU and kDLOpenCL


def test_the_innermost_log_counts(note: Callable[..., Path], tmp_path: Path) -> None:
    mod = _net(8)
    log = note(mod)
    (tmp_path / "empty.jsonl").touch()
    with tvm_go.ApplyBest(tmp_path / "empty.jsonl"):
        assert _kernels(mod, log) == 3
        with pytest.warns(UserWarning, match=r"empty\.jsonl"):
            tvm_go.build(mod, target=TARGET)


def test_bad_use_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"give plan=\.\.\., or enter tvm_go\.ApplyBest"):
        tvm_go.build(_net(8))
    with pytest.raises(LogError, match=r"there is no log .*none\.jsonl"):
        tvm_go.ApplyBest(tmp_path / "none.jsonl")
