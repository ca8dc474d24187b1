"""Every script under examples/ runs, as its first lines say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import write_small_onnx

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


def test_tune_an_onnx_model_and_look_at_its_plan(tmp_path: Path) -> None:
    write_small_onnx(tmp_path / "small.onnx")
    assert "verdict: " in _run("tune_onnx.py", "small.onnx", "--budget", "4", folder=tmp_path)
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
