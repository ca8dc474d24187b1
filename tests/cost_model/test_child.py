"""A child process can be lost in every way without harm, and is there again for the next call."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cost_model.child import ChildFailure, ChildProcess


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildProcess]:
    process = ChildProcess(name="test", work_dir=tmp_path_factory.mktemp("child"), memory_mb=512, num_threads=1)
    yield process
    process.close()


def test_a_call_returns_what_the_function_returns_and_raises_what_it_raises(child: ChildProcess) -> None:
    assert child.call(divmod, 7, 2) == (3, 1)
    assert child.call(os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        child.call(divmod, 7, 0)


def test_settings_reach_the_child(child: ChildProcess) -> None:
    assert child.call(os.getenv, "TVM_NUM_THREADS") == "1"
    assert "child" in str(child.call(os.getenv, "TMPDIR"))
    assert child.call(signal.getsignal, signal.SIGINT) == signal.SIG_IGN


def test_a_call_past_its_time_is_killed(child: ChildProcess) -> None:
    child.wait_until_ready()
    start = time.monotonic()
    with pytest.raises(ChildFailure) as failure:
        child.call(time.sleep, 100, timeout_s=0.5)
    assert failure.value.kind == "timeout"
    assert time.monotonic() - start < 5
    with pytest.raises(ChildFailure) as failure:
        child.call(time.sleep, 100, expired=lambda: True)
    assert failure.value.kind == "timeout"
    assert child.call(len, "abc") == 3


def test_a_timeout_error_of_the_function_is_not_a_timeout(child: ChildProcess) -> None:
    def raise_timeout() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        child.call(raise_timeout, timeout_s=30)


def test_a_crash_names_the_signal(child: ChildProcess) -> None:
    with pytest.raises(ChildFailure, match="SIGABRT") as failure:
        child.call(os.abort)
    assert failure.value.kind == "crash"
    assert child.call(len, "abc") == 3


def test_too_much_memory_is_told_from_a_crash(child: ChildProcess) -> None:
    with pytest.raises(ChildFailure) as failure:
        child.call(bytearray, 1 << 30)
    assert failure.value.kind == "memory"

    def abort_like_llvm() -> None:
        os.write(2, b"LLVM ERROR: out of memory\n")
        os.abort()

    with pytest.raises(ChildFailure) as failure:
        child.call(abort_like_llvm)
    assert failure.value.kind == "memory"
    assert child.call(len, "abc") == 3


def test_closing_ends_a_busy_child(tmp_path: Path) -> None:
    busy = ChildProcess(name="busy", work_dir=tmp_path)
    pid = busy.call(os.getpid)
    future = busy._thread.submit(busy._send_and_receive, time.sleep, (100,))
    busy.close()
    assert future.exception() is not None
    assert not psutil.pid_exists(pid)
