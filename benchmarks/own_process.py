"""Run models each in a process of its own: systems that share one disturb each other.

TVM binds the thread that calls it to one core, and threads that are started from there later inherit that:
onnxruntime with 2 threads took 2.9 ms for squeezenet before TVM had run in the same process, and 10.2 ms after.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from benchmarks.light_onnx import Array

Run = Callable[[], list[Array]]
"""Computes a model once, on inputs that it holds, and returns all outputs in order."""

CORES = frozenset(os.sched_getaffinity(0))  # read on import, before TVM has run anything
"""The cores that this process may use."""


class PeerError(RuntimeError):
    """A system cannot run a model here; the message says why."""


class OwnProcess:
    """A model that was prepared, and waits, in a process of its own with all cores; a context manager.

    It is stopped while it waits: the threads of TVM's and OpenMP's pools spin on after a run, for minutes if others
    need their core, and would take it from them.

    Parameters
    ----------
    prepare
        Gives what runs the model; it is pickled, so a function of a module or a `functools.partial` of one.

    Raises
    ------
    PeerError
        If `prepare` or the first run raises, or the process ends; its first line is the reason.
    """

    outputs: list[Array]
    """Of the first run."""

    def __init__(self, prepare: Callable[[], Run]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, prepare, CORES), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.outputs = self._receive()
        except BaseException:
            self.close()
            raise
        self._signal(signal.SIGSTOP)

    def times_ms(self, seconds: float, at_least: int = 1) -> list[float]:
        """Return the times of runs one after another, over `seconds`, after a tenth of that (or one run) as warm-up."""
        times: list[float] = self._ask((seconds, at_least))
        return times

    def run_again(self) -> list[Array]:
        """Return the outputs of one more run."""
        outputs: list[Array] = self._ask(None)
        return outputs

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._signal(signal.SIGCONT)
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> OwnProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, number)

    def _ask(self, request: tuple[float, int] | None) -> Any:
        """Let the process go on for one request; see `_serve`."""
        self._signal(signal.SIGCONT)
        self._pipe.send(request)
        answer = self._receive()
        self._signal(signal.SIGSTOP)
        return answer

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise PeerError(f"its process ended with exit code {self._process.exitcode}") from None
        if isinstance(answer, str):
            raise PeerError(answer)
        return answer


def time_runs_ms(run: Run, seconds: float, at_least: int = 1) -> list[float]:
    """Return the times of runs one after another, over `seconds`, after a tenth of that (or one run) as warm-up."""
    start = time.perf_counter()
    run()
    while time.perf_counter() - start < seconds / 10:
        run()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < at_least or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        times.append((time.perf_counter() - before) * 1e3)
    return times


def _serve(pipe: Connection, prepare: Callable[[], Run], cores: frozenset[int]) -> None:
    """Prepare, send the outputs of a first run, then run or time runs on request until the pipe is closed."""
    os.setsid()  # a group that loses its shell while one of its processes is stopped gets SIGHUP
    os.sched_setaffinity(0, cores)  # the parent's thread may be bound to one
    os.environ["TVM_NUM_THREADS"] = str(len(cores))  # TVM takes half of the cores of an x86 CPU by itself
    try:
        run = prepare()
        pipe.send(run())
        while True:
            try:
                request = pipe.recv()
            except EOFError:
                return
            pipe.send(run() if request is None else time_runs_ms(run, *request))
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no message"]
        pipe.send(f"{type(error).__name__}: {lines[0]}")
