"""Servers of tvm-go for the tests, as separate processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvm.rpc.tracker import Tracker

from cost_model import server
from cost_model.config import RpcConfig
from cost_model.rpc import RpcConnection

HOST = "127.0.0.1"
ARM64_SERVER = Path(__file__).parents[1] / "tools" / "arm64_server"


@contextmanager
def running_tracker() -> Iterator[int]:
    """The port of a tracker on this machine."""
    first, last = server.port_range()
    tracker = Tracker(HOST, port=first, port_end=last, silent=True)
    try:
        yield tracker.port
    finally:
        tracker.terminate()


@contextmanager
def running_server(tracker_port: int, key: str, *options: str, runtime: Path | None = None) -> Iterator[RpcConfig]:
    """A server that is registered with a tracker on this machine; a folder with TVM's runtime replaces the wheel's."""
    with _registered(start_server(tracker_port, key, *options, runtime=runtime), tracker_port, key) as rpc:
        yield rpc


@contextmanager
def running_emulated_server(tracker_port: int, key: str) -> Iterator[RpcConfig]:
    """A server on an emulated ARM64 machine, which must be set up."""
    command = [str(ARM64_SERVER), "--tracker", f"{HOST}:{tracker_port}", "--key", key, "--host", HOST]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    with _registered(process, tracker_port, key) as rpc:
        yield rpc


@contextmanager
def _registered(process: subprocess.Popen[bytes], tracker_port: int, key: str) -> Iterator[RpcConfig]:
    try:
        rpc = RpcConfig(HOST, tracker_port, key, wait_s=60.0)
        RpcConnection(rpc).check(patient=True)
        yield rpc
    finally:
        stop_server(process)


def start_server(tracker_port: int, key: str, *options: str, runtime: Path | None = None) -> subprocess.Popen[bytes]:
    """A server in a process group of its own; it may take seconds to register."""
    chosen = {"TVM_LIBRARY_PATH": str(runtime), "TVM_USE_RUNTIME_LIB": "1"} if runtime else {}
    return subprocess.Popen(
        [
            sys.executable,
            server.__file__,
            "--tracker",
            f"{HOST}:{tracker_port}",
            "--key",
            key,
            "--host",
            HOST,
            *options,
        ],
        env={**os.environ, **chosen},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def stop_server(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """End a server with its session, as when its machine is switched off."""
    if process.poll() is None:
        os.killpg(process.pid, number)
    process.wait()
