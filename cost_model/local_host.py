"""Starts and stops our own RPC tracker and server, `cost_model.rpc_host`, from the parent's side."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cost_model.runtime_choice import runtime_environment
from tvm_go.errors import MeasureError

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0


class LocalHost:
    """One process group that holds a tracker, a server and its sessions; it ends with this process, however that ends.

    Parameters
    ----------
    key : str
        The key that the server registers.
    work_dir : pathlib.Path
        Where its stderr and the sessions' temporary files go.
    devices : sequence of str
        TVM's names of the devices that it must have.
    """

    def __init__(self, *, key: str, work_dir: Path, devices: Sequence[str]) -> None:
        self._key = key
        self._environment = runtime_environment(devices)
        self._work_dir = work_dir
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        """Start it, or start it again if it was lost.

        Raises
        ------
        MeasureError
            It does not come up.
        """
        if self.alive():
            return
        self.stop()
        stderr_path = self._work_dir / "rpc-host.stderr"
        with stderr_path.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cost_model.rpc_host", self._key],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={
                    "TVM_NUM_THREADS": str(len(os.sched_getaffinity(0))),
                    **os.environ,
                    **self._environment,
                    "TMPDIR": str(self._work_dir),
                },
                start_new_session=True,
            )
        stdout = self._process.stdout
        assert stdout is not None
        ready = select.select([stdout], [], [], _START_TIMEOUT_S)[0]
        line = stdout.readline() if ready else b""
        if not line:
            self.stop()
            raise MeasureError(
                f"our own RPC server did not start ({_last_line(stderr_path)}); "
                "start a tracker and a server yourself and name them with --rpc-tracker and --rpc-key"
            )
        self.port = int(json.loads(line)["port"])

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def abort_session(self) -> None:
        """End the running session, whatever it is doing; the server is free again at once."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(b"abort\n")
                self._process.stdin.flush()

    def stop(self) -> None:
        """End the process and all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT_S)
        # Sessions outlive a host that was killed; they are in its process group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"
