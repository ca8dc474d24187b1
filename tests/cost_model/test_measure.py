"""Good kernels get times, bad ones get reasons, and no bad one harms another."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import psutil
import pytest
import tvm
from tvm import relay

from cost_model import build_worker, kernel_result, runner
from cost_model.kernel_result import ErrorKind, KernelResult
from cost_model.kernel_task import KernelTask
from cost_model.measure import MeasureConfig, Measurer
from tests.cost_model.faults import faulty_build
from tests.cost_model.kernels import (
    add_relu,
    conv_add_relu,
    dense_add,
    huge_add,
    parameter,
    slow_matmul,
    task,
    two_anchors,
    wild_take,
)
from tvm_go.errors import UsageError
from tvm_go.lowering import TIR


def measured(measurer: Measurer, *tasks: KernelTask) -> list[KernelResult]:
    results = list(measurer.measure(tasks))
    assert [result.key for result in results] == [one.key for one in tasks]
    return results


def assert_good(results: list[KernelResult]) -> None:
    for result in results:
        assert result.ok, result.error_msg
        assert result.numerics == "ok"
        assert 0 < result.median_ms < 100
        assert len(result.times_ms) == 5
        assert min(result.times_ms) <= result.median_ms <= max(result.times_ms)


def test_the_fastest_of_several_visits_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"visits": 0}
    timed = kernel_result.timed_result

    def disturbed(**values: Any) -> KernelResult:
        slow["visits"] += 1
        factor = 10.0 if slow["visits"] <= 2 else 1.0  # the first visit of both kernels
        return timed(**values | {"times_ms": tuple(factor * time_ms for time_ms in values["times_ms"])})

    monkeypatch.setattr(runner, "timed_result", disturbed)
    x = parameter("x", 64, 64)
    tasks = [task([x], relay.nn.relu(x + x)), task([x], relay.exp(x)), wild_take(num_ops=1)]
    with Measurer(target="native", config=MeasureConfig(visits=3)) as measurer:
        good, other, wild = measured(measurer, *tasks)
    assert slow["visits"] == 6
    assert good.numerics == "ok"
    assert max(good.median_ms, other.median_ms) < 1.0
    assert len(good.times_ms) == 5
    assert not wild.ok


def test_good_kernels_of_all_sorts(measurer: Measurer) -> None:
    x, y = parameter("x", 4, 64), parameter("y", 4, 64)
    several = task([x, y], relay.Tuple([x + y, relay.nn.relu(x + y), relay.sum(x, axis=1)]))
    p = parameter("p", 4, 64)
    split = task([p], relay.split(relay.nn.relu(p), 2, axis=1).astuple())
    data, indices = parameter("data", 100, 16), parameter("indices", 32, dtype="int64")
    embedding = task([data, indices], relay.take(data, relay.cast(indices, "int32"), axis=0) * relay.const(2.0))
    mask, a = parameter("mask", 4, 64, dtype="bool"), parameter("a", 4, 64)
    masked = task([mask, a], relay.where(relay.logical_not(mask), a, relay.const(-1e9) * a))
    i, j = parameter("i", 64, dtype="int32"), parameter("j", 64, dtype="int32")
    integers = task([i, j], relay.maximum(i * j, j))
    half = parameter("half", 4, 64, dtype="float16")
    halves = task([half], relay.exp(half * relay.const(0.5, "float16")))
    conv = KernelTask("c0" * 16, tvm.ir.save_json(conv_add_relu()), 3)
    results = measured(measurer, several, split, embedding, masked, integers, halves, conv, dense_add(64))
    assert_good(results)
    assert all(result.max_error < 1e-2 for result in results)
    assert all(result.build_s > 0 and result.run_s > 0 for result in results)
    assert measurer.build_seconds > 0
    assert measurer.run_seconds > 0


def test_a_kernel_of_one_op_is_its_own_reference(measurer: Measurer) -> None:
    x = parameter("x", 16, 16)
    (result,) = measured(measurer, task([x], relay.tanh(x), num_ops=1))
    assert result.ok
    assert result.numerics == "single_op"
    assert math.isnan(result.max_error)


def test_a_key_that_occurs_twice_is_measured_once(measurer: Measurer) -> None:
    one = add_relu(16)
    assert [result.key for result in measurer.measure([one, one])] == [one.key]


def test_no_tasks_give_no_results(measurer: Measurer) -> None:
    assert list(measurer.measure([])) == []


def test_a_kernel_that_te_refuses_is_named_with_the_reason(measurer: Measurer) -> None:
    first, bad, last = measured(measurer, add_relu(8), two_anchors(), dense_add(8))
    assert_good([first, last])
    assert bad.error_kind is ErrorKind.BUILD_ERROR
    assert "two complicated ops" in bad.error_msg
    assert bad.median_ms == math.inf
    assert bad.times_ms == ()
    assert bad.numerics == "unchecked"


def test_text_that_is_no_kernel_is_a_build_error(measurer: Measurer) -> None:
    first, bad = measured(measurer, add_relu(8), KernelTask("ab" * 16, "{}", 2))
    assert_good([first])
    assert bad.error_kind is ErrorKind.BUILD_ERROR
    assert bad.error_msg


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("crash", ErrorKind.BUILD_CRASH, "SIGSEGV"),
        ("crash in code generation", ErrorKind.BUILD_CRASH, "SIGABRT"),
        ("error in code generation", ErrorKind.BUILD_ERROR, "LLVM says no"),
        ("memory", ErrorKind.BUILD_MEMORY, "limit is 1024 MB"),
    ],
)
def test_a_kernel_that_harms_its_builder_is_the_only_one_blamed(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch, fault: str, kind: ErrorKind, words: str
) -> None:
    tasks = [add_relu(width) for width in (8, 16, 24, 32)]
    monkeypatch.setattr(build_worker, "build_kernels", faulty_build(tasks[1].key, fault))
    results = measured(measurer, *tasks)
    assert_good([results[0], *results[2:]])
    assert results[1].error_kind is kind
    assert words in results[1].error_msg


def test_a_build_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [add_relu(width) for width in (8, 16, 24)]
    monkeypatch.setattr(build_worker, "build_kernels", faulty_build(tasks[0].key, "hang"))
    config = MeasureConfig(workers=1, build_timeout_s=4.0)
    with Measurer(target="native", config=config) as impatient:
        first, *others = measured(impatient, *tasks)
    assert first.error_kind is ErrorKind.BUILD_TIMEOUT
    assert "longer than 4 s" in first.error_msg
    assert_good(others)


def test_wrong_numbers_are_found_and_not_timed(measurer: Measurer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_worker, "build_kernels", faulty_build("", "wrong reference"))
    (result,) = measured(measurer, add_relu(40))
    assert result.error_kind is ErrorKind.WRONG_NUMBERS
    assert result.numerics == "wrong"
    assert result.max_error > 0.1
    assert result.median_ms == math.inf
    assert "differ" in result.error_msg


def steep() -> KernelTask:
    """Nearly a step: what few elements lie on its slope are as good as any. In the kernel, exp is a polynomial."""
    x, y = parameter("x", 1, 2048), parameter("y", 256, 1)  # so that no pair of numbers comes twice
    slope = (relay.exp(x) - relay.exp(y)) * relay.const(2e4)
    return replace(task([x, y], relay.clip(slope, -1.0, 1.0)), lowering=TIR)


def test_a_kernel_that_is_off_by_what_rounding_does_to_its_reference_is_good() -> None:
    with Measurer(target="native", config=MeasureConfig(run_timeout_s=60.0)) as patient:  # time for all samples
        (result,) = measured(patient, steep())
    assert result.ok, result.error_msg
    assert result.numerics == "sensitive"
    assert result.max_error > 1e-4
    assert len(result.times_ms) == 5


@pytest.mark.parametrize("fault", ["wrong numbers", "wrong reference"])
def test_a_wrong_kernel_is_found_where_its_reference_is_steep(
    fault: str, measurer: Measurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_worker, "build_kernels", faulty_build("", fault))
    (result,) = measured(measurer, steep())
    assert result.error_kind is ErrorKind.WRONG_NUMBERS
    assert result.numerics == "wrong"


def test_a_reference_that_crashes_or_needs_too_much_memory_stays_in_its_worker(measurer: Measurer) -> None:
    good, wild, huge = measured(measurer, add_relu(8), wild_take(num_ops=2), huge_add(1 << 28))
    assert_good([good])
    assert wild.error_kind is ErrorKind.BUILD_CRASH
    assert huge.error_kind is ErrorKind.BUILD_MEMORY


def test_a_kernel_that_crashes_the_server_is_tried_twice_and_the_rest_goes_on(measurer: Measurer) -> None:
    before, wild, after = measured(measurer, add_relu(8), wild_take(num_ops=1), dense_add(16))
    assert_good([before, after])
    assert wild.error_kind is ErrorKind.RUN_CRASH
    assert "2 times" in wild.error_msg


def test_a_kernel_that_runs_too_long_is_stopped_and_the_rest_goes_on() -> None:
    with Measurer(target="native", config=MeasureConfig(run_timeout_s=1.5)) as impatient:
        before, slow, after = measured(impatient, add_relu(8), slow_matmul(), dense_add(16))
    assert_good([before, after])
    assert slow.error_kind is ErrorKind.RUN_TIMEOUT
    assert "longer than 1.5 s" in slow.error_msg


def test_our_own_server_is_replaced_when_it_is_killed(measurer: Measurer) -> None:
    tasks = [add_relu(width) for width in (8, 16, 24, 32)]
    results = measurer.measure(tasks)
    collected = [next(results)]
    hosts = [p for p in psutil.Process().children() if "cost_model.rpc_host" in p.cmdline()]
    assert len(hosts) == 1
    hosts[0].kill()
    collected += list(results)
    assert_good(collected)
    assert [result.key for result in collected] == [one.key for one in tasks]


def test_measuring_can_be_abandoned_and_begun_again(measurer: Measurer) -> None:
    results = measurer.measure([add_relu(8), add_relu(16)])
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert_good(measured(measurer, add_relu(24)))


def test_the_device_kind_follows_from_the_target() -> None:
    assert Measurer(target="native").device_kind() == "cpu"
    assert Measurer(target="opencl").device_kind() == "opencl"


def test_an_unknown_target_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="abacus"):
        Measurer(target="abacus")


def test_importing_the_package_does_not_import_tvm() -> None:
    code = "import sys, cost_model; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
