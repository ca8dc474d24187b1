"""A tuner that is killed or interrupted leaves no process behind, whatever it was doing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import pytest

from cost_model.work_dir import make_work_dir

TUNER = """
import sys, time
from cost_model import build_worker
from cost_model.measure import MeasureConfig, Measurer
from tests.cost_model.kernels import add_relu, slow_matmul

if __name__ == "__main__":
    with Measurer(target="native", config=MeasureConfig(workers=2, run_timeout_s=60)) as measurer:
        measurer.start()
        print("started", flush=True)
        results = measurer.measure([add_relu(8), slow_matmul(), add_relu(16)])
        print(next(results).ok, flush=True)
        next(results)  # a kernel that keeps the server busy for seconds
"""


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("TVM_GO_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.mark.parametrize(
    ("ending", "line", "pause_s"),
    [
        (signal.SIGKILL, "started", 0.1),
        (signal.SIGKILL, "started", 2.0),
        (signal.SIGKILL, "True", 0.3),
        (signal.SIGINT, "started", 2.5),
        (signal.SIGINT, "True", 0.3),
    ],
)
def test_a_tuner_that_is_ended_leaves_no_process(ending: signal.Signals, line: str, pause_s: float) -> None:
    mark = uuid.uuid4().hex
    tuner = subprocess.Popen(
        [sys.executable, "-c", TUNER],
        env={**os.environ, "TVM_GO_TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert tuner.stdout is not None
    try:
        for printed in tuner.stdout:
            if printed.strip() == line:
                break
        time.sleep(pause_s)
        assert len(marked(mark)) > 1
        tuner.send_signal(ending)
        tuner.wait(timeout=20)
    finally:
        tuner.kill()
        tuner.wait()
        tuner.stdout.close()
    limit = time.monotonic() + 10
    while (left := marked(mark)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not left, [process.cmdline() for process in left]


def test_the_folder_of_a_killed_process_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale = tmp_path / f"tvm-go-measure-{ended.pid}-abc"
    stale.mkdir()
    ours = make_work_dir()
    again = make_work_dir()
    assert not stale.exists()
    assert ours.exists()
    assert again.exists()
