"""Starts `tvm-go` as a user does, and looks at what is left of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tuning_logs import KernelRecord, TuningLog

TVM_GO = (sys.executable, "-m", "tvm_go")
ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit status."""

    status: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The last line on stderr, which is to say it all; there must be no traceback."""
        assert "Traceback" not in self.stderr, self.stderr
        return self.stderr.rstrip("\n").rpartition("\n")[2]


def tvm_go(*arguments: str | Path, cwd: Path, limit_resources: Callable[[], None] | None = None) -> Outcome:
    """Run a command to its end."""
    done = subprocess.run(
        [*TVM_GO, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        preexec_fn=limit_resources,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


class Running:
    """A command under way, in a process group of its own, as a terminal starts it."""

    def __init__(self, *arguments: str | Path, cwd: Path) -> None:
        self._stdout, self._stderr = cwd / "stdout.txt", cwd / "stderr.txt"
        with self._stdout.open("w") as stdout, self._stderr.open("w") as stderr:
            command = [*TVM_GO, *map(str, arguments)]
            self.process = subprocess.Popen(
                command, cwd=cwd, env=ENVIRONMENT, stdout=stdout, stderr=stderr, start_new_session=True
            )

    def wait_until(self, condition: Callable[[str], bool]) -> None:
        """Wait until something holds of what stands on stderr, which must come before the end."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition(self._stderr.read_text()):
            assert self.process.poll() is None, self._stderr.read_text()
            assert time.monotonic() < deadline, self._stderr.read_text()
            time.sleep(0.02)

    def interrupt(self, signal_number: int) -> Outcome:
        """Signal the whole group, wait for the end, and make sure that no process is left."""
        children = self.children()
        assert children
        os.killpg(self.process.pid, signal_number)
        outcome = self.finish()
        _, left = psutil.wait_procs(children, timeout=10)
        assert not left
        return outcome

    def children(self) -> list[psutil.Process]:
        """All processes that the command has started and that still run."""
        running: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return running

    def finish(self) -> Outcome:
        """Wait for the end."""
        status = self.process.wait(TIMEOUT_S)
        return Outcome(status, self._stdout.read_text(), self._stderr.read_text())


def measured(log: Path) -> list[tuple[str, str]]:
    """Key and lowering of the kernels in a log, all of whose lines must be whole."""
    records = TuningLog(log)
    found = [(record.key, record.lowering) for record in records.load() if isinstance(record, KernelRecord)]
    assert not records.problems
    assert records.torn_lines == 0
    return found
