"""A way to RPC servers: our own on loopback, or those of an existing tracker; sessions that leave nothing behind."""

from __future__ import annotations

import contextlib
import gc
import shutil
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tvm
from tvm import rpc as tvm_rpc
from tvm.rpc import base

from cost_model.config import RpcConfig
from cost_model.local_host import LocalHost
from cost_model.work_dir import make_work_dir
from tvm_go.errors import MeasureError

T = TypeVar("T")

_LOCAL_KEY = "tvm-go"
_LOCAL_WAIT_S = 60.0
_CONNECT_TIMEOUT_S = 5.0
_REGISTRATION_S = 2.0  # a server that was started a moment ago
_POLL_S = 0.05


@dataclass(frozen=True)
class RpcAddress:
    """Where to ask for a server: the tracker, and the key."""

    host: str
    port: int
    key: str


class RpcConnection:
    """Access to RPC servers under one tracker and key. A context manager: `check` at enter, `close` at exit.

    Parameters
    ----------
    rpc : RpcConfig or None
        An existing tracker; None starts our own tracker and server on loopback when they are first needed.
    devices : sequence of str
        TVM's names of the devices that our own server must have.
    """

    def __init__(self, rpc: RpcConfig | None = None, *, devices: Sequence[str] = ("cpu",)) -> None:
        self._rpc = rpc
        self._devices = devices
        self._local: LocalHost | None = None
        self._local_dir: Path | None = None

    def __enter__(self) -> RpcConnection:
        try:
            self.check()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_local(self) -> bool:
        """Whether the server is our own, which shares the cores of this machine with us."""
        return self._rpc is None

    @property
    def wait_s(self) -> float:
        """How long a busy or lost server is waited for."""
        return _LOCAL_WAIT_S if self._rpc is None else self._rpc.wait_s

    def address(self) -> RpcAddress:
        """Where to ask for a server; starts our own, or starts it again, if need be.

        Raises
        ------
        MeasureError
            Our own server does not start.
        """
        if self._rpc is not None:
            return RpcAddress(self._rpc.tracker_host, self._rpc.tracker_port, self._rpc.key)
        if self._local is None:
            self._local_dir = make_work_dir()
            self._local = LocalHost(key=_LOCAL_KEY, work_dir=self._local_dir, devices=self._devices)
        self._local.start()
        return RpcAddress("127.0.0.1", self._local.port, _LOCAL_KEY)

    def check(self, *, patient: bool = False, extra_s: float = 0.0) -> None:
        """Make sure that a server is free, waiting up to `wait_s` for one that is busy.

        Parameters
        ----------
        patient : bool
            Wait also for a tracker or server that is not there: it was there before, and may come back.
        extra_s : float
            Wait so much longer, since a session that we gave up may still hold the server.

        Raises
        ------
        MeasureError
            No tracker, no server with the key, or all of them busy all the time.
        """
        start = time.monotonic()
        while True:
            problem = _problem(self.address(), self.wait_s)
            if problem is None:
                return
            patience_s = self.wait_s + extra_s if patient or self.is_local else problem.patience_s
            if time.monotonic() - start >= patience_s:
                raise MeasureError(problem.message)
            time.sleep(_POLL_S if self.is_local else 4 * _POLL_S)

    @contextlib.contextmanager
    def session(self, *, session_timeout_s: float) -> Iterator[tvm_rpc.RPCSession]:
        """A session with a server, ended at exit even where someone still holds an array or a device of it.

        Parameters
        ----------
        session_timeout_s : float
            The server ends the session by itself after this time.

        Raises
        ------
        MeasureError
            No server was free.
        """
        self.check()
        session = open_session(self.address(), session_timeout_s=session_timeout_s)
        try:
            yield session
        finally:
            close_session(session)
            del session
            gc.collect()

    def run(self, function: Callable[[Any], T], *, session_timeout_s: float, attempts: int = 2) -> T:
        """Run a function with a session, again with a new one if the server was lost meanwhile.

        Parameters
        ----------
        function : callable
            Takes the `tvm.rpc.RPCSession`; must not keep anything of it, and must be able to run twice.
        session_timeout_s : float
            See `session`.
        attempts : int
            How often to try.

        Returns
        -------
        object
            What the function returned.

        Raises
        ------
        MeasureError
            The server was lost in the last attempt as well, or none was free.
        """
        for attempt in range(attempts):
            self.check(patient=attempt > 0)
            session = open_session(self.address(), session_timeout_s=session_timeout_s)
            try:
                return function(session)
            except tvm.TVMError as error:
                if session_answers(session):
                    raise
                # The frames of the traceback hold arrays and devices of the dead session.
                traceback.clear_frames(error.__traceback__)
                if attempt == attempts - 1:
                    raise MeasureError(
                        f"the RPC server was lost {attempts} times while running on it; "
                        "see its output, or raise the session timeout"
                    ) from None
            finally:
                close_session(session)
                del session
                gc.collect()
        raise ValueError(f"attempts is {attempts}; it must be at least 1")

    def abort_session(self) -> None:
        """End the session that is running on our own server; an existing server ends it by its session timeout."""
        if self._local is not None:
            self._local.abort_session()

    def close(self) -> None:
        """Stop what was started."""
        if self._local is not None:
            self._local.stop()
            self._local = None
        if self._local_dir is not None:
            shutil.rmtree(self._local_dir, ignore_errors=True)
            self._local_dir = None


def open_session(address: RpcAddress, *, session_timeout_s: float) -> tvm_rpc.RPCSession:
    """Ask a tracker for a server and connect to it; blocks while all are busy."""
    tracker = tvm_rpc.connect_tracker(address.host, address.port)
    try:
        return tracker.request(address.key, session_timeout=session_timeout_s, max_retry=3)
    finally:
        tracker.close()


def close_session(session: tvm_rpc.RPCSession) -> None:
    """End a session at once, also where references to its arrays, functions or devices are left."""
    with contextlib.suppress(Exception):  # it may have ended already, with its server
        session._sess.get_function("CloseRPCConnection")()


def load_library(session: tvm_rpc.RPCSession, path: str) -> Any:
    """Send a shared library to a server and load it there.

    Raises
    ------
    MeasureError
        The server's system does not take it.
    """
    name = path.rpartition("/")[2]
    session.upload(path, name)
    try:
        return session.load_module(name)
    except tvm.TVMError:  # says nothing: what Python on the server raises comes without its text
        if not session_answers(session):
            raise
        raise MeasureError(
            "the RPC server does not load what was compiled for this target: most likely its CPU is of another "
            "architecture; give the target of the server's CPU, or the key of another server"
        ) from None


def session_answers(session: tvm_rpc.RPCSession) -> bool:
    """Whether the server behind a session is still there."""
    try:
        session.get_function("runtime.RPCTimeEvaluator")
    except Exception:
        return False
    return True


def tracker_summary(host: str, port: int) -> dict[str, Any]:
    """What a tracker knows: its servers and its queues.

    Raises
    ------
    OSError
        Nothing answers there, or not as a tracker does.
    """
    with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S) as connection:
        connection.sendall(struct.pack("<i", base.RPC_TRACKER_MAGIC))
        if struct.unpack("<i", base.recvall(connection, 4))[0] != base.RPC_TRACKER_MAGIC:
            raise OSError("what answers there is no RPC tracker")
        base.sendjson(connection, [base.TrackerCode.SUMMARY])
        code, summary = base.recvjson(connection)
    if code != base.TrackerCode.SUCCESS:
        raise OSError(f"the tracker answered with code {code}")
    return dict(summary)


def reach_tracker(host: str, port: int, option: str = "--rpc-tracker") -> dict[str, Any]:
    """As `tracker_summary`, with an error for the user, who gave the address with an option.

    Raises
    ------
    MeasureError
        Nothing answers there, or not as a tracker does.
    """
    try:
        return tracker_summary(host, port)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise MeasureError(
            f"no RPC tracker at {host}:{port} ({reason.lower()}); "
            f"start one with 'python -m tvm.exec.rpc_tracker --port {port} --port-end {port + 1}', or correct {option}"
        ) from error


@dataclass(frozen=True)
class _Problem:
    """Why no server can be had now, and how long to hope for one without further reason."""

    message: str
    patience_s: float


def _problem(address: RpcAddress, busy_wait_s: float) -> _Problem | None:
    place = f"{address.host}:{address.port}"
    try:
        summary = reach_tracker(address.host, address.port)
    except MeasureError as error:
        return _Problem(str(error), patience_s=0.0)
    keys = sorted({info["key"].removeprefix("server:") for info in summary["server_info"]})
    if address.key not in keys:
        return _Problem(
            f"the RPC tracker at {place} has no server with key '{address.key}' (keys: {', '.join(keys) or 'none'}); "
            f"start one with 'tvm-go serve --tracker {place} --key {address.key}', "
            "or correct --rpc-key",
            patience_s=_REGISTRATION_S,
        )
    if summary["queue_info"].get(address.key, {}).get("free", 0) < 1:
        return _Problem(
            f"all servers with key '{address.key}' at the RPC tracker {place} are busy; "
            "wait for the others to finish, or add a server",
            patience_s=busy_wait_s,
        )
    return None
