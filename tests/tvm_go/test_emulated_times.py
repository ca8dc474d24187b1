"""What an emulated machine measured is marked, and never used for a real one."""

from __future__ import annotations

from pathlib import Path

import tvm
from tvm import relay

from cost_model.config import MeasureConfig
from cost_model.provenance import host_cpu
from tests.servers import running_server, running_tracker
from tuning_logs import PlanRecord, TuningLog
from tvm_go.tuning import tune_graph

_QUICK = MeasureConfig(repeat=3, min_repeat_ms=0.1)


def _model() -> tvm.IRModule:
    x, w, b = relay.var("x", shape=(4, 64)), relay.var("w", shape=(32, 64)), relay.var("b", shape=(32,))
    return tvm.IRModule.from_expr(relay.Function([x, w, b], relay.tanh(relay.nn.dense(x, w) + b)))


def test_kernels_and_plans_of_an_emulated_machine_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with running_tracker() as tracker, running_server(tracker, "qemu", "--emulated") as rpc:
        emulated = tune_graph(_model(), log=path, budget=4, measure=_QUICK, decide=["fusion"], rpc=rpc)
    log = TuningLog(path)
    records = list(log.load())
    assert len(log.kernel_records) == emulated.measured > 0
    assert any(isinstance(record, PlanRecord) for record in records)
    assert {record.device_kind for record in records} == {"emulated cpu"}
    assert {record.host_cpu for record in records} == {f"x86_64 emulated on {host_cpu()}"}

    real = tune_graph(_model(), log=path, budget=4, measure=_QUICK, decide=["fusion"])
    assert (real.from_log, real.measured) == (0, emulated.measured)
    kinds = [record.device_kind for record in TuningLog(path).kernel_records]
    assert kinds == ["emulated cpu"] * emulated.measured + ["cpu"] * real.measured
