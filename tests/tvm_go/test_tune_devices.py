"""A model tuned for a CPU and an OpenCL device: what is returned was verified, and what was measured is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

import tvm_go
from cost_model.config import RpcConfig
from cost_model.link_times import FEW, MANY, SIZES
from cost_model.links import Links, line_through, links_of
from cost_model.rpc import RpcConnection
from cost_model.served_device import ServedDevice
from relay_passes.target_set import TargetSet
from tuning_logs import KernelRecord, PlanRecord, TuningLog
from tvm_go.apply_best import ApplyBest
from tvm_go.errors import UsageError
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.tune_devices import PlacedPlan, faster_of
from tvm_go.tuning import tune_graph

TARGETS = TargetSet.parse("cpu=llvm, opencl=opencl")
SERVED = ServedDevice("cpu + opencl: here", "this; that")


def test_a_line_goes_through_times_of_copies() -> None:
    latency_ms, bytes_per_ms = line_through([(size, 0.05 + size / 3e6) for size in SIZES])
    assert latency_ms == pytest.approx(0.05)
    assert bytes_per_ms == pytest.approx(3e6)
    assert line_through([(1.0, 2.0), (1e6, 2.0)])[0] == pytest.approx(2.0)


def test_devices_without_a_way_between_them_are_infinitely_far_apart() -> None:
    names = ("cpu", "opencl", "cuda")
    ms = {f"copy {a} {b} {size}": 1.0 for a in names for b in names if "cpu" in (a, b) and a != b for size in SIZES}
    ms |= {f"row {name} {count}": 0.01 * count for name in names for count in (FEW, MANY)}
    found = Links.of(names, ms)
    assert np.isinf(found.latency_ms[1, 2]) and np.isinf(found.latency_ms[2, 1])
    assert np.isfinite(found.latency_ms[0]).all() and not found.latency_ms.diagonal().any()
    assert found.launch_ms == pytest.approx([0.01] * 3)


def test_links_are_measured_once(opencl_server: RpcConfig, tmp_path: Path) -> None:
    log = TuningLog(tmp_path / "log.jsonl")
    with RpcConnection(opencl_server) as connection:
        first = links_of(TARGETS, connection, log, SERVED)
    count = len(log.load())
    again = links_of(TARGETS, RpcConnection(RpcConfig("127.0.0.1", 1, "nobody")), log, SERVED)
    assert len(log.load()) == count == 2 * len(SIZES) + 4
    assert np.array_equal(first.latency_ms, again.latency_ms)
    assert (first.latency_ms[[0, 1], [1, 0]] > 0).all() and (first.launch_ms >= 0).all()


def rows_of_error_functions() -> tvm.IRModule:
    """Error functions, which TVM's generic CPU code computes one by one, between two small products."""
    x, first, second = (relay.var(name, shape=(64, 64)) for name in ("x", "first", "second"))
    value = relay.nn.dense(x, first)
    for _ in range(3):
        value = relay.erf(relay.concatenate([value] * 2, axis=0))
    return tvm.IRModule.from_expr(relay.Function([x, first, second], relay.nn.dense(value, second)))


def test_a_model_is_tuned_for_both_devices(opencl_server: RpcConfig, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    result = tune_graph(
        rows_of_error_functions(), target=TARGETS.text, rpc=opencl_server, log=log, budget=4, name="erf"
    )
    records = TuningLog(log).load()
    plans = [one for one in records if isinstance(one, PlanRecord) and one.target == TARGETS.text]
    placed = [one for one in plans if GraphPlan.from_json(one.plan).device.any()]
    assert plans and all(one.device_kind.startswith("cpu + opencl: ") for one in plans)
    assert all(one.numerics in ("ok", "sensitive") for one in placed if one.verdict != "failed")
    kinds = {one.device_kind.partition(":")[0] for one in records if isinstance(one, KernelRecord)}
    assert {"cpu", "opencl"} <= kinds
    assert result.plan.target == TARGETS.text
    assert result.plan.details is not None
    if result.plan.device.any():
        assert any(one.plan_key == result.plan.key and one.verdict == "faster" for one in placed)
        assert {line.device for line in result.kernels} <= {"cpu", "opencl"}


def test_two_plans_are_timed_against_each_other_once(tmp_path: Path) -> None:
    """And who lost is not applied, whatever it seemed to gain over the default."""
    mod = rows_of_error_functions()
    model = Model.prepare(mod, None, TARGETS.host)
    alone = TargetSet.parse("llvm")
    log = TuningLog(tmp_path / "log.jsonl")
    contenders: list[PlacedPlan] = []
    for kernel in (model.default, np.arange(model.graph.num_ops, dtype=np.int32)):
        plan = model.plan(kernel, "tvm")
        record = replace(record_of(plan), plan_ms=1.0 + len(contenders))
        log.append(record)
        contenders.append(PlacedPlan(plan, model, record))
    with RpcConnection() as connection:
        winner = faster_of(contenders[0], contenders[1], alone, log, connection, SERVED)
    (loser,) = (one for one in contenders if one is not winner)
    count = len(log.load())
    nobody = RpcConnection(RpcConfig("127.0.0.1", 1, "nobody"))
    for one, other in ((winner, loser), (loser, winner)):
        assert faster_of(one, other, alone, log, nobody, SERVED) is winner
    assert len(log.load()) == count == 3
    with ApplyBest(tmp_path / "log.jsonl") as best:
        applied = best.plan(mod, None, alone)
    assert applied is not None
    assert applied.key == winner.plan.key != loser.plan.key


def record_of(plan: GraphPlan) -> PlanRecord:
    return PlanRecord(
        plan_key=plan.key,
        workload=plan.workload,
        model="erf",
        target=plan.target,
        device_kind=SERVED.kind,
        host_cpu=SERVED.model,
        versions={},
        default_ms=4.0,
        plan_ms=1.0,
        verdict="faster",
        numerics="ok",
        max_error=0.0,
        kernels=plan.num_kernels,
        plan=plan.to_json(),
        provenance={},
    )


def test_a_plan_all_on_the_cpu_is_built_for_the_cpu_alone() -> None:
    model = Model.prepare(rows_of_error_functions(), None, TARGETS.host)
    plan = replace(model.plan(model.default, "tvm"), target=TARGETS.text)
    library = tvm_go.build(rows_of_error_functions(), plan=plan)
    assert [target.kind.name for target in library.target] == ["llvm"]
    executor = GraphModule(library["default"](tvm.cpu()))  # one device is enough
    executor.run()


def test_an_unknown_placement_strategy_is_one_line_before_anything_is_spent() -> None:
    with pytest.raises(UsageError, match="unknown strategy 'best'; choose from"):
        tune_graph(rows_of_error_functions(), target=TARGETS.text, placement="best")
