"""Kernels are measured on an OpenCL device, and what goes wrong there harms nothing but the one kernel."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tvm
from tvm import relay

from cost_model import build_worker, run_worker, runner
from cost_model.build_worker import BuiltKernel
from cost_model.config import RpcConfig
from cost_model.kernel_result import ErrorKind, KernelResult
from cost_model.measure import MeasureConfig, Measurer
from cost_model.rpc import RpcConnection, load_library, tracker_summary
from cost_model.stage_file import StageFile
from relay_passes.targets import as_target
from tests.cost_model.faults import faulty_build
from tests.cost_model.kernels import add_relu, dense_add, parameter, slow_matmul, task, two_anchors
from tests.servers import running_server, running_tracker, start_server, stop_server
from tvm_go.errors import MeasureError

TARGET = "opencl"
CONFIG = MeasureConfig(workers=1, repeat=3)


@pytest.fixture(scope="module")
def measurer(opencl_server: RpcConfig) -> Iterator[Measurer]:
    with Measurer(target=TARGET, config=CONFIG, rpc=opencl_server) as shared:
        yield shared


@pytest.fixture(scope="module")
def tracker() -> Iterator[int]:
    with running_tracker() as port:
        yield port


def assert_good(results: list[KernelResult]) -> None:
    for result in results:
        assert result.ok, result.error_msg
        assert result.numerics == "ok"
        assert 0 < result.median_ms < 1000


def test_good_kernels_of_all_sorts(measurer: Measurer) -> None:
    x, y = parameter("x", 4, 64), parameter("y", 4, 64)
    several = task([x, y], relay.Tuple([x + y, relay.nn.relu(x + y)]))
    data, indices = parameter("data", 100, 16), parameter("indices", 32, dtype="int64")
    embedding = task([data, indices], relay.take(data, relay.cast(indices, "int32"), axis=0) * relay.const(2.0))
    image, weight = parameter("image", 1, 8, 12, 12), parameter("weight", 8, 8, 3, 3)
    conv = relay.nn.conv2d(image, weight, kernel_size=(3, 3), channels=8, padding=(1, 1))
    p = parameter("p", 16, 128)
    rows = task([p], relay.sum(relay.exp(p), axis=1))
    tasks = [several, embedding, task([image, weight], relay.nn.relu(conv)), rows, dense_add(64)]
    results = list(measurer.measure(tasks))
    assert [result.key for result in results] == [one.key for one in tasks]
    assert_good(results)
    assert all(result.max_error < 1e-2 for result in results)


def test_the_device_and_its_driver_are_named(measurer: Measurer) -> None:
    served = measurer.served()
    assert measurer.device_kind() == "opencl"
    assert "Portable Computing Language" in served.model
    assert served.kind == f"opencl: {served.model}"  # the target, opencl, does not tell it from another


def test_the_first_run_compiles_and_is_not_timed(measurer: Measurer) -> None:
    (result,) = measurer.measure([add_relu(48)])
    assert_good([result])
    assert max(result.times_ms) < 100  # compiling takes 300 or more


def test_times_are_those_of_the_clock_not_of_the_devices_events(opencl_server: RpcConfig) -> None:
    with RpcConnection(opencl_server).session(session_timeout_s=30) as session, pytest.raises(AttributeError):
        session.get_function("profiling.timer.opencl")


def test_what_does_not_compile_is_a_failure_with_a_reason(measurer: Measurer) -> None:
    p = parameter("p", 16, 128)
    outside_threads = task([p], relay.nn.softmax(relay.nn.relu(p)))  # TE leaves the relu to the host
    first, refused, broken, last = measurer.measure([add_relu(8), two_anchors(), outside_threads, dense_add(8)])
    assert_good([first, last])
    assert refused.error_kind is broken.error_kind is ErrorKind.BUILD_ERROR
    assert "two complicated ops" in refused.error_msg
    assert broken.error_msg.endswith("Memory verification failed with the following errors:")
    assert refused.median_ms == broken.median_ms == math.inf


def test_a_schedule_without_threads_is_a_failure_with_a_reason(measurer: Measurer) -> None:
    x, w = parameter("x", 1, 2, 8, 8, 16), parameter("w", 2, 2, 3, 3, 16, 16)
    blocked = relay.nn.contrib_conv2d_nchwc(
        x, w, channels=32, kernel_size=(3, 3), data_layout="NCHW16c", kernel_layout="OIHW16i16o", out_layout="NCHW16c"
    )
    (result,) = measurer.measure([task([x, w], blocked, num_ops=1)])
    assert result.error_kind in (ErrorKind.BUILD_ERROR, ErrorKind.RUN_ERROR)
    assert result.error_msg


def test_a_library_is_sent_once_for_all_its_kernels(
    opencl_server: RpcConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def load_and_note(session: Any, path: str) -> Any:
        sent.append(path)
        return load_library(session, path)

    monkeypatch.setattr(run_worker, "load_library", load_and_note)
    tasks = (add_relu(8), dense_add(16), add_relu(24))
    path = str(tmp_path / "kernels.so")
    built = build_worker.build_kernels(tasks, tvm.ir.save_json(as_target(TARGET)), path, StageFile(tmp_path / "stage"))
    connection = RpcConnection(opencl_server)
    connection.check(patient=True)
    run_worker.open_current(connection.address(), "opencl", None, 60.0)
    try:
        for kernel in built:
            assert isinstance(kernel, BuiltKernel)
            assert run_worker.run_kernel(kernel, CONFIG).error == ""
    finally:
        run_worker.close_current()
    assert sent == [path]


def test_wrong_numbers_are_found(measurer: Measurer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_worker, "build_kernels", faulty_build("", "wrong reference"))
    (result,) = measurer.measure([add_relu(40)])
    assert result.error_kind is ErrorKind.WRONG_NUMBERS


def test_a_kernel_that_hangs_costs_no_more_than_its_session(tracker: int, opencl_runtime: Path) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        running_server(tracker, "hung", runtime=opencl_runtime) as rpc,
        Measurer(target=TARGET, config=MeasureConfig(workers=1, run_timeout_s=5.0), rpc=rpc) as impatient,
    ):
        patch.setattr(runner, "_SESSION_S", 4.0)
        before, slow, after = impatient.measure([add_relu(8), slow_matmul(), add_relu(16)])
    assert_good([before, after])
    assert slow.error_kind is ErrorKind.RUN_TIMEOUT
    assert "longer than 5 s" in slow.error_msg


def test_a_server_that_is_switched_off_and_on_again_loses_no_kernel(tracker: int, opencl_runtime: Path) -> None:
    tasks = [add_relu(width) for width in (8, 16, 24, 32)]
    server = start_server(tracker, "reborn", runtime=opencl_runtime)
    try:
        rpc = RpcConfig("127.0.0.1", tracker, "reborn", wait_s=60.0)
        RpcConnection(rpc).check(patient=True)
        with Measurer(target=TARGET, config=CONFIG, rpc=rpc) as measurer:
            running = measurer.measure(tasks)
            results = [next(running)]
            stop_server(server)
            server = start_server(tracker, "reborn", runtime=opencl_runtime)
            results += list(running)
        assert_good(results)
        assert [result.key for result in results] == [one.key for one in tasks]
    finally:
        stop_server(server)


def test_several_clients_use_one_server_in_turn(opencl_server: RpcConfig) -> None:
    results: dict[int, list[KernelResult]] = {}

    def client(number: int) -> None:
        with Measurer(target=TARGET, config=CONFIG, rpc=opencl_server) as measurer:
            results[number] = list(measurer.measure([add_relu(8 * number), add_relu(8 * number + 4)]))

    clients = [threading.Thread(target=client, args=(number,)) for number in (1, 2)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert sorted(results) == [1, 2]
    assert_good([*results[1], *results[2]])


def test_the_server_is_free_after_each_round(measurer: Measurer, opencl_server: RpcConfig) -> None:
    assert_good(list(measurer.measure([add_relu(8)])))
    RpcConnection(opencl_server).check(extra_s=5.0)
    queue = tracker_summary(opencl_server.tracker_host, opencl_server.tracker_port)["queue_info"]
    assert queue[opencl_server.key] == {"free": 1, "pending": 0}


def test_a_dead_tracker_ends_measuring_with_one_line(opencl_runtime: Path) -> None:
    with running_tracker() as tracker, running_server(tracker, "orphan", runtime=opencl_runtime) as rpc:
        impatient = RpcConfig(rpc.tracker_host, rpc.tracker_port, rpc.key, wait_s=1.0)
        with Measurer(target=TARGET, config=CONFIG, rpc=impatient) as measurer:
            assert_good(list(measurer.measure([add_relu(8)])))
    with pytest.raises(MeasureError, match="no RPC tracker at") as error:
        Measurer(target=TARGET, rpc=impatient).check()
    assert "\n" not in str(error.value)
