"""A tuning run that is killed again and again loses at most one record a time, and ends in the plan of its log."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.models import write_small_onnx
from tuning_logs import KernelRecord, TuningLog
from tvm_go import GraphPlan


def start(folder: Path, plan: str, *decide: str) -> subprocess.Popen[str]:
    arguments = [str(folder / name) for name in ("small.onnx", "log.jsonl", "seen.txt", plan)]
    with (folder / "stderr.txt").open("a") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.tvm_go.tune_once", *arguments, *decide],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=Path(__file__).parents[2],
        )


def in_log(folder: Path) -> list[tuple[str, str]]:
    """Key and lowering of each measured kernel."""
    records = TuningLog(folder / "log.jsonl").load()
    return [(record.key, record.lowering) for record in records if isinstance(record, KernelRecord)]


def killed_runs(folder: Path, kills: int, seed: int, *decide: str) -> None:
    write_small_onnx(folder / "small.onnx")
    seen = folder / "seen.txt"
    seen.touch()
    rng = np.random.default_rng(seed)
    for _ in range(kills):
        logged_before, seen_before = len(in_log(folder)), len(seen.read_text().split())
        process = start(folder, "never.json", *decide)
        # Anywhere between the start of the measurements and the end of the run.
        wait_for_growth(seen, process)
        time.sleep(rng.uniform(0, 0.8))
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait()
        logged, measured = in_log(folder), seen.read_text().split()
        assert len(measured) - seen_before - (len(logged) - logged_before) in (0, 1)
        assert len(set(logged)) == len(logged), "a kernel was measured twice"
        gone, left = psutil.wait_procs(children, timeout=10)
        assert not [child for child in left if child.status() != psutil.STATUS_ZOMBIE], gone
    final = start(folder, "final.json", *decide)
    text, _ = final.communicate(timeout=300)
    assert final.returncode == 0, (folder / "stderr.txt").read_text()[-2000:]
    logged = in_log(folder)
    assert len(set(logged)) == len(logged)
    assert len(logged) >= int(text.split()[0])
    replay = start(folder, "replay.json", *decide)
    text, _ = replay.communicate(timeout=300)
    assert text.split()[0] == "0", "the replay measured something"
    plans = [GraphPlan.load(folder / name) for name in ("final.json", "replay.json")]
    assert plans[0].to_json() == plans[1].to_json()


def wait_for_growth(path: Path, process: subprocess.Popen[str]) -> None:
    size = path.stat().st_size
    deadline = time.monotonic() + 60
    while path.stat().st_size == size and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def test_two_kills(tmp_path: Path) -> None:
    """Without forms, of which some are timed as a whole: that takes longer than all the rest."""
    killed_runs(tmp_path, 2, 0, "lowering", "fusion")


@pytest.mark.campaign
def test_ten_kills(tmp_path: Path) -> None:
    killed_runs(tmp_path, 10, 1)
