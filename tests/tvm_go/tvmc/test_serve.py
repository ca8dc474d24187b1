"""`tvm-go serve` serves what it says until Ctrl-C, and says in one clear line why it cannot."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cost_model.config import RpcConfig
from cost_model.measure import Measurer
from cost_model.rpc import RpcConnection
from tests.cost_model.kernels import add_relu
from tests.servers import HOST, running_tracker
from tests.tvm_go.tvmc.command import Outcome, Running
from tvm_go.tvmc.main import main


@pytest.fixture(scope="module")
def tracker() -> Iterator[int]:
    with running_tracker() as port:
        yield port


def serve(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> Outcome:
    """A run in this process, which fails before it serves."""
    with pytest.raises(SystemExit) as end:
        main(["serve", *arguments])
    printed = capfd.readouterr()
    assert printed.err.count("\n") == 1, printed.err
    return Outcome(int(str(end.value.code)), printed.out, printed.err)


def registered(tracker: int, key: str) -> RpcConfig:
    """Wait until a server is there."""
    rpc = RpcConfig(HOST, tracker, key, wait_s=60.0)
    RpcConnection(rpc).check(patient=True)
    return rpc


@pytest.mark.parametrize(("device", "target"), [("cpu", "native"), ("opencl", "opencl")])
def test_it_serves_the_device_until_ctrl_c(
    device: str, target: str, tracker: int, opencl_runtime: Path, tmp_path: Path
) -> None:
    place = ("--tracker", f"{HOST}:{tracker}", "--key", f"my-{device}", "--host", HOST)
    server = Running("serve", "--device", device, *place, cwd=tmp_path)
    try:
        rpc = registered(tracker, f"my-{device}")
        with Measurer(target=target, rpc=rpc) as measurer:
            assert [result.error_msg for result in measurer.measure([add_relu(16)])] == [""]
            served = measurer.served()
        os.killpg(server.process.pid, signal.SIGINT)
        outcome = server.finish()
    finally:
        server.process.kill()
    assert outcome.status == 0
    assert served.kind.startswith(device)
    lines = outcome.stdout.splitlines()
    assert lines[0].startswith("CPU: ")
    assert served.model.split(" (")[0] in outcome.stdout
    assert lines[-1] == f"serving as 'my-{device}' at the tracker {HOST}:{tracker}; stop with Ctrl-C"


def test_ctrl_c_ends_a_session_that_is_under_way(tracker: int, tmp_path: Path) -> None:
    place = ("--tracker", f"{HOST}:{tracker}", "--key", "busy", "--host", HOST)
    server = Running("serve", *place, cwd=tmp_path)
    try:
        with RpcConnection(registered(tracker, "busy")).session(session_timeout_s=60) as session:
            assert session.cpu(0).exist
            start = time.monotonic()
            assert server.interrupt(signal.SIGINT).status == 0
            assert time.monotonic() - start < 10
    finally:
        server.process.kill()


def test_a_tracker_that_is_not_there_is_named_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    outcome = serve(["--tracker", f"{HOST}:1", "--key", "k"], capfd)
    assert outcome.status == 1
    assert outcome.error.startswith(f"tvm-go: error: no RPC tracker at {HOST}:1 (connection refused); start one with")
    assert outcome.error.endswith("or correct --tracker")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tracker", "board:usb", "--key", "k"], "--tracker 'board:usb' is no HOST:PORT"),
        (["--tracker", f"{HOST}:1", "--key", "a:b"], "--key is 'a:b'; it must be a word without colons"),
        (["--tracker", f"{HOST}:1", "--key", ""], "--key is ''; it must be a word"),
        (
            ["--tracker", f"{HOST}:1", "--key", "k", "--runtime", "/nowhere"],
            "--runtime '/nowhere' holds no libtvm_runt",
        ),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = serve(arguments, capfd)
    assert outcome.status == 2
    assert words in outcome.error


def test_a_runtime_that_is_not_built_is_named_with_how_to_build_it(
    tracker: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    outcome = serve(["--tracker", f"{HOST}:{tracker}", "--key", "k", "--device", "opencl"], capfd)
    assert outcome.status == 2
    assert "the installed TVM has no opencl: build one, once, with tools/build_opencl_runtime" in outcome.error


def test_a_machine_without_an_opencl_device_is_told_so(
    tracker: int,
    opencl_runtime: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))  # a folder that names no driver
    outcome = serve(["--tracker", f"{HOST}:{tracker}", "--key", "k", "--device", "opencl"], capfd)
    assert outcome.status == 1
    assert "no opencl device works on this machine: 'clinfo -l' must list one" in outcome.error


def test_help_fits_a_screen_and_shows_an_example(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) <= 40
    assert any("tvm-go serve --tracker" in line for line in lines)
