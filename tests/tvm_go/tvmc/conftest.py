"""Model files, and one tuning run whose log and plan the other tests use."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.models import write_small_onnx
from tests.tvm_go.tvmc.command import Outcome, tvm_go

BUDGET = 14  # the default's nine kernels, and some that are searched
RELAY = """\
#[version = "0.0.5"]
def @main(%x: Tensor[(4, 64), float32], %w: Tensor[(32, 64), float32]) {
  %0 = nn.dense(%x, %w, units=32);
  %1 = nn.relu(%0);
  exp(%1)
}
"""


@dataclass(frozen=True)
class Tuned:
    """A folder in which `tvm-go tune-graph small.onnx --budget 14 --json` ran."""

    folder: Path
    outcome: Outcome

    @property
    def json(self) -> dict[str, Any]:
        figures = json.loads(self.outcome.stdout)
        assert isinstance(figures, dict)
        return figures


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `small.onnx` and `small.relay`."""
    folder = tmp_path_factory.mktemp("models")
    write_small_onnx(folder / "small.onnx")
    (folder / "small.relay").write_text(RELAY)
    return folder


@pytest.fixture(scope="session")
def tuned(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    return Tuned(folder, tvm_go("tune-graph", models / "small.onnx", "--budget", str(BUDGET), "--json", cwd=folder))


@pytest.fixture
def log(tuned: Tuned, tmp_path: Path) -> Path:
    """A copy of the tuned log in a folder of this test's own: with it a run measures nothing."""
    return Path(shutil.copy(tuned.folder / "tvm-go.jsonl", tmp_path / "tvm-go.jsonl"))
