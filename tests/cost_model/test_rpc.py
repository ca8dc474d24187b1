"""Servers are found or their absence is explained; sessions end when they should."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tvm
from tvm.rpc.server import Server
from tvm.rpc.tracker import Tracker

from cost_model import rpc, runner
from cost_model.config import MeasureConfig, RpcConfig
from cost_model.kernel_result import ErrorKind
from cost_model.measure import Measurer
from cost_model.rpc import RpcConnection, tracker_summary
from tests.cost_model.kernels import add_relu, slow_matmul
from tvm_go.errors import MeasureError

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    running = Tracker(HOST, port=31_000, port_end=31_900, silent=True)
    yield running
    running.terminate()


@pytest.fixture
def server(tracker: Tracker) -> Iterator[Server]:
    running = serve(tracker, "board")
    RpcConnection(RpcConfig(HOST, tracker.port, "board", wait_s=20.0)).check(patient=True)
    yield running
    running.terminate()


def serve(tracker: Tracker, key: str) -> Server:
    return Server(HOST, port=31_000, port_end=31_900, tracker_addr=(HOST, tracker.port), key=key, silent=True)


def add_one(session: Any) -> float:
    device = session.cpu(0)
    return float(tvm.nd.array(np.ones(4, np.float32), device).numpy().sum())


def test_a_tracker_that_is_not_there_is_named_at_once() -> None:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(MeasureError, match=f"no RPC tracker at {HOST}:{port}.*refused") as error:
        RpcConnection(RpcConfig(HOST, port, "board")).check()
    assert time.monotonic() - start < 5
    assert "rpc_tracker" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(MeasureError, match=r"no RPC tracker at no-such-host\.invalid:9190"):
        RpcConnection(RpcConfig("no-such-host.invalid", 9190, "board")).check()


def test_what_listens_but_is_no_tracker_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "_CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server((HOST, 0)) as silent, pytest.raises(MeasureError, match=r"no RPC tracker .*timed out"):
        RpcConnection(RpcConfig(HOST, silent.getsockname()[1], "board")).check()


def test_an_unknown_key_is_named_with_those_that_exist(tracker: Tracker, server: Server) -> None:
    with pytest.raises(MeasureError, match=r"no server with key 'bord' \(keys: board\)") as error:
        RpcConnection(RpcConfig(HOST, tracker.port, "bord")).check()
    assert "\n" not in str(error.value)


def test_a_measurer_fails_at_enter_without_a_tracker() -> None:
    with pytest.raises(MeasureError, match="no RPC tracker"), Measurer(target="native", rpc=RpcConfig(HOST, 1, "k")):
        pass


def test_servers_that_stay_busy_are_reported(tracker: Tracker, server: Server) -> None:
    ours = RpcConnection(RpcConfig(HOST, tracker.port, "board", wait_s=1.0))
    with ours.session(session_timeout_s=30), pytest.raises(MeasureError, match=r"'board' .* are busy"):
        RpcConnection(RpcConfig(HOST, tracker.port, "board", wait_s=1.0)).check()
    ours.check()


def test_a_stray_reference_does_not_keep_the_server(tracker: Tracker, server: Server) -> None:
    connection = RpcConnection(RpcConfig(HOST, tracker.port, "board", wait_s=5.0))
    with connection.session(session_timeout_s=60) as session:
        device = session.cpu(0)
        array = tvm.nd.array(np.ones(4), device)
        function = session.get_function("runtime.RPCTimeEvaluator")
    connection.check()
    with connection.session(session_timeout_s=60) as other:
        assert add_one(other) == 4.0
    del array, function, device


def test_our_own_server_starts_serves_again_and_stops() -> None:
    with RpcConnection() as connection:
        assert connection.is_local
        address = connection.address()
        for _ in range(3):
            assert connection.run(add_one, session_timeout_s=30) == 4.0
        assert connection.address() == address
    with pytest.raises(OSError, match="refused"):
        tracker_summary(address.host, address.port)


def test_a_function_runs_again_when_its_server_was_lost() -> None:
    attempts = []
    with RpcConnection() as connection:

        def fragile(session: Any) -> float:
            attempts.append(1)
            if len(attempts) == 1:
                connection.abort_session()
                time.sleep(0.5)
            return add_one(session)

        assert connection.run(fragile, session_timeout_s=30) == 4.0
        assert len(attempts) == 2

        def hopeless(session: Any) -> float:
            connection.abort_session()
            time.sleep(0.5)
            return add_one(session)

        with pytest.raises(MeasureError, match="lost 2 times"):
            connection.run(hopeless, session_timeout_s=30)
        assert connection.run(add_one, session_timeout_s=30) == 4.0


def test_an_error_of_the_function_itself_is_not_retried() -> None:
    attempts = []

    def broken(session: Any) -> None:
        attempts.append(1)
        session.get_function("no.such.function")

    with RpcConnection() as connection, pytest.raises(AttributeError):
        connection.run(broken, session_timeout_s=30)
    assert len(attempts) == 1


def test_a_kernel_that_hangs_an_existing_server_costs_no_more_than_its_session(
    tracker: Tracker, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_SESSION_S", 4.0)
    config = MeasureConfig(workers=1, run_timeout_s=1.5)
    with Measurer(target="native", config=config, rpc=RpcConfig(HOST, tracker.port, "board", wait_s=0.5)) as measurer:
        before, slow, after = measurer.measure([add_relu(8), slow_matmul(), add_relu(16)])
    assert before.ok
    assert slow.error_kind is ErrorKind.RUN_TIMEOUT
    assert after.ok


def test_an_existing_tracker_measures_and_its_loss_keeps_what_was_measured(tracker: Tracker) -> None:
    own = serve(tracker, "mortal")
    config = MeasureConfig(workers=1)
    with Measurer(target="native", config=config, rpc=RpcConfig(HOST, tracker.port, "mortal", wait_s=1.0)) as measurer:
        results = measurer.measure([add_relu(width) for width in (8, 16, 24)])
        assert next(results).ok
        own.terminate()
        with pytest.raises(MeasureError, match="no server with key 'mortal'"):
            list(results)
        again = serve(tracker, "mortal")
        assert all(result.ok for result in measurer.measure([add_relu(16), add_relu(24)]))
        again.terminate()
