"""A child process for work that may crash, hang or eat all memory: limits are set in it and enforced from outside."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
from tvm.contrib.popen_pool import PopenWorker

from relay_passes.error_text import is_memory_error, meaningful_lines
from tvm_go.errors import MeasureError

T = TypeVar("T")

_START_TIMEOUT_S = 120.0
_POLL_S = 0.1


class ChildFailure(Exception):  # noqa: N818  (what happened to the child, not an error of ours)
    """The child did not answer: it took too long, died, or ran out of memory. The next call starts a fresh one."""

    def __init__(self, kind: Literal["timeout", "crash", "memory"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ChildProcess:
    """One child process that runs functions for us, restarted when it was lost.

    The process is started by a thread of its own that lives as long as this object, because Linux sends the death
    signal when the *thread* that started the child ends. One call at a time; `close` ends the child and the thread.

    Parameters
    ----------
    name : str
        For its messages and its stderr file.
    work_dir : pathlib.Path
        Where its stderr and its temporary files go.
    memory_mb : int or None
        Address space it may take beyond what it has after its imports.
    num_threads : int or None
        TVM threads in it; None leaves the default.
    """

    def __init__(
        self, *, name: str, work_dir: Path, memory_mb: int | None = None, num_threads: int | None = None
    ) -> None:
        self._name = name
        self._stderr_path = work_dir / f"{name}.stderr"
        self._stderr = self._stderr_path.open("ab")
        initargs = (str(work_dir), memory_mb, num_threads, os.getpid())
        self._worker = PopenWorker(prepare_child, initargs, stdout=self._stderr, stderr=self._stderr)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._closed = False
        self._ready: Future[int] | None = None

    def call(
        self,
        function: Callable[..., T],
        *args: Any,
        timeout_s: float | None = None,
        expired: Callable[[], bool] | None = None,
    ) -> T:
        """Run a function in the child.

        Parameters
        ----------
        function : callable
            A module-level function; it and its arguments are pickled.
        *args
            Its arguments.
        timeout_s : float or None
            Kill the child when the call takes longer.
        expired : callable or None
            Asked about ten times a second; kill the child when it says True.

        Returns
        -------
        object
            What the function returned.

        Raises
        ------
        ChildFailure
            The child was killed for its time, died, or ran out of memory.
        Exception
            What the function raised, its message being the child's traceback.
        """
        self.wait_until_ready()
        stderr_start = self._stderr_path.stat().st_size
        process = self._worker._proc
        limit = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
        future = self._thread.submit(self._send_and_receive, function, args)
        killed = False
        try:
            while not wait([future], timeout=_POLL_S).done:
                if not killed and (time.monotonic() > limit or (expired is not None and expired())):
                    killed = True
                    _kill_tree(process.pid)
        except KeyboardInterrupt:  # nobody will wait for the answer
            _kill_tree(process.pid)
            raise
        try:
            return future.result()
        except ChildProcessError:
            if killed:
                raise ChildFailure("timeout", f"the {self._name} process took too long and was killed") from None
            raise self._crash(process, stderr_start) from None
        except MemoryError as error:
            self.kill()
            raise ChildFailure("memory", meaningful_lines(str(error))) from None

    def kill(self) -> None:
        """End the process, if there is one; the next call starts another."""
        self._thread.submit(self._worker.kill).result()

    def close(self) -> None:
        """End the process and the thread, whatever is still running in it."""
        self._closed = True
        process = self._worker._proc
        if process is not None:
            _kill_tree(process.pid)
        self.kill()
        self._thread.shutdown()
        self._stderr.close()

    def start(self) -> None:
        """Begin to start the process if it is not running; the next call waits for it, outside its time limit."""
        if self._ready is None or (self._ready.done() and not self._worker.is_alive()):
            self._ready = self._thread.submit(self._send_and_receive, os.getpid, ())

    def wait_until_ready(self) -> None:
        """Start the process if need be, and wait until it takes calls.

        Raises
        ------
        tvm_go.errors.MeasureError
            It does not start.
        """
        self.start()
        assert self._ready is not None
        if not wait([self._ready], timeout=_START_TIMEOUT_S).done:
            _kill_tree(self._worker._proc.pid)
        try:
            self._ready.result()
        except Exception as error:
            self._ready = None
            raise MeasureError(
                f"the {self._name} process does not start ({meaningful_lines(str(error))}); "
                f"try: {sys.executable} -c 'import cost_model.measure'"
            ) from None

    def _send_and_receive(self, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        if self._closed:
            raise ChildProcessError(f"the {self._name} process was closed")
        self._worker.send(function, args)
        result: T = self._worker.recv()
        return result

    def _crash(self, process: Any, stderr_start: int) -> ChildFailure:
        with contextlib.suppress(Exception):
            process.wait(1.0)
        code = process.returncode
        with self._stderr_path.open("rb") as stderr:
            stderr.seek(stderr_start)
            text = stderr.read(1 << 20).decode(errors="replace")
        reason = _exit_reason(code)
        if is_memory_error(text):
            return ChildFailure("memory", f"the {self._name} process ran out of memory ({reason})")
        return ChildFailure("crash", f"the {self._name} process died ({reason})")


def _exit_reason(code: int | None) -> str:
    if code is None:
        return "exit status unknown"
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _kill_tree(pid: int) -> None:
    """Kill a process and its descendants (a linker, say); its parent still has to reap it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for descendant in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                descendant.kill()
        process.kill()


def prepare_child(work_dir: str, memory_mb: int | None, num_threads: int | None, parent_pid: int) -> None:
    """Set up the child: it dies with its parent, ignores Ctrl-C (its parent handles that) and keeps to its memory."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent_pid:  # the parent died before the line above
            os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TMPDIR"] = work_dir
    if num_threads is not None:
        os.environ["TVM_NUM_THREADS"] = str(num_threads)
    if memory_mb is not None and sys.platform == "linux":
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (memory_mb << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
