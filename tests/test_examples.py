"""Every script under examples/ runs, as its first lines say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tuned import BUDGET, Tuned

_ROOT = Path(__file__).parents[1]


def _run(name: str, *arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, _ROOT / "examples" / name, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tune_an_onnx_model_and_look_at_its_plan(tuned: Tuned, tmp_path: Path) -> None:
    """With the log of such a run, from which it goes on."""
    shutil.copy(tuned.model, tmp_path / "small.onnx")
    shutil.copy(tuned.log, tmp_path / "small.jsonl")
    assert "verdict: " in _run("tune_onnx.py", "small.onnx", "--budget", str(BUDGET), folder=tmp_path)
    assert "small.plan.html" in _run("look_at_plan.py", "small.plan.json", "small.jsonl", folder=tmp_path)
    assert "conv2d" in (tmp_path / "small.plan.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "says"), [("tune_pytorch.py", "the numbers are PyTorch's"), ("place_graph.py", "annealing")]
)
def test_an_example_that_needs_nothing(name: str, says: str, tmp_path: Path) -> None:
    assert says in _run(name, folder=tmp_path)


def test_no_example_is_left_out() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{path.name}"' in source for path in (_ROOT / "examples").glob("*.py"))
