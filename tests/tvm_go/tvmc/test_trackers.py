"""An external tracker and server, as other programs: used if they are there, their absence explained."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from cost_model import rpc
from cost_model.config import RpcConfig
from tests.tuned import BUDGET
from tests.tvm_go.tvmc.command import ENVIRONMENT, measured, tvm_go
from tvm_go.tvmc import tune_graph as command
from tvm_go.tvmc.main import main

HOST = "127.0.0.1"


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[psutil.Popen]:
    """A `python -m tvm.exec...` program, ended with all its children."""
    process = psutil.Popen([sys.executable, "-m", *arguments], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        kill(process)


def kill(process: psutil.Popen) -> None:
    if process.is_running():
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def tracker() -> Iterator[int]:
    """The port of a tracker that runs."""
    port = free_port()
    with started("tvm.exec.rpc_tracker", "--host", HOST, "--port", str(port), "--port-end", str(port + 1)):
        wait_for(lambda: servers(port) is not None)
        yield port


@contextlib.contextmanager
def server(tracker: int, key: str) -> Iterator[psutil.Popen]:
    port = free_port()
    place = (
        "--host",
        HOST,
        "--port",
        str(port),
        "--port-end",
        str(port + 1),
        "--tracker",
        f"{HOST}:{tracker}",
        "--key",
        key,
    )
    with started("tvm.exec.rpc_server", *place) as process:
        wait_for(lambda: f"server:{key}" in (servers(tracker) or []))
        yield process


def servers(tracker: int) -> list[str] | None:
    try:
        return [info["key"] for info in rpc.tracker_summary(HOST, tracker)["server_info"]]
    except OSError:
        return None


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def failing(models: Path, folder: Path, tracker: int, key: str, capfd: pytest.CaptureFixture[str]) -> str:
    """The one line of a run in this process that fails."""
    with pytest.raises(SystemExit) as end:
        place = ["--rpc-tracker", f"{HOST}:{tracker}", "--rpc-key", key]
        files = ["--log", str(folder / "l.jsonl"), "-o", str(folder / "p.json")]
        main(["tune-graph", str(models / "small.onnx"), "--quiet", *files, *place])
    assert end.value.code == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err.strip()


def test_a_key_without_a_server_is_named_with_those_that_exist(
    tracker: int, models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    error = failing(models, tmp_path, tracker, "board", capfd)
    assert "no server with key 'board' (keys: none); start one with 'tvm-go serve --tracker" in error
    with server(tracker, "phone"):
        error = failing(models, tmp_path, tracker, "board", capfd)
    assert "no server with key 'board' (keys: phone)" in error
    assert error.endswith("or correct --rpc-key")


def test_a_server_that_dies_for_good_ends_the_run_and_keeps_the_log(
    tracker: int, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "RpcConfig", partial(RpcConfig, wait_s=1.0))  # a minute is too long for a test
    log = tmp_path / "l.jsonl"
    with server(tracker, "mortal") as process:

        def end_it() -> None:
            wait_for(lambda: log.exists() and log.stat().st_size > 0)
            kill(process)

        murderer = threading.Thread(target=end_it)
        murderer.start()
        error = failing(models, tmp_path, tracker, "mortal", capfd)
        murderer.join()
    assert "no server with key 'mortal'" in error
    assert error.endswith(f"; what was measured is in {log}, and the same command goes on from there")
    assert len(measured(log)) > 0


def test_a_server_is_used_and_after_its_death_the_next_one_to_the_end(
    tracker: int, models: Path, log: Path, tmp_path: Path
) -> None:
    """Two kernels stand in the log; the others, and the whole model, are measured on the servers."""
    kept = log.read_text().splitlines()[:2]
    log.write_text("\n".join(kept) + "\n")
    with server(tracker, "phoenix") as process, contextlib.ExitStack() as stack:

        def replace_it() -> None:
            wait_for(lambda: len(log.read_text().splitlines()) > 3)
            kill(process)
            stack.enter_context(server(tracker, "phoenix"))

        replacing = threading.Thread(target=replace_it)
        replacing.start()
        place = ("--rpc-tracker", f"{HOST}:{tracker}", "--rpc-key", "phoenix")
        options = ("--budget", str(BUDGET), "--no-ablation", "--decide", "lowering", "fusion", "--json")
        outcome = tvm_go("tune-graph", models / "small.onnx", *options, *place, cwd=tmp_path)
        replacing.join()
        assert outcome.status == 0, outcome.stderr
        wait_for(lambda: rpc.tracker_summary(HOST, tracker)["queue_info"]["phoenix"]["free"] == 1)
    figures = json.loads(outcome.stdout)
    assert figures["from_log"] == 2
    assert set(figures["failures"]) <= {"build_error"}  # no kernel is blamed for the server's death
    assert figures["default_ms"] > 0
    assert len(set(measured(log))) == len(measured(log)) == 2 + figures["measured"]
