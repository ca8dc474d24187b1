"""Model files, and a copy of the log of the tuning run that tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.models import write_small_onnx
from tests.tuned import Tuned

_RELAY = """\
#[version = "0.0.5"]
def @main(%x: Tensor[(4, 64), float32], %w: Tensor[(32, 64), float32]) {
  %0 = nn.dense(%x, %w, units=32);
  %1 = nn.relu(%0);
  exp(%1)
}
"""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `small.onnx` and `small.relay`."""
    folder = tmp_path_factory.mktemp("models")
    write_small_onnx(folder / "small.onnx")
    (folder / "small.relay").write_text(_RELAY)
    return folder


@pytest.fixture
def log(tuned: Tuned, tmp_path: Path) -> Path:
    """A copy of the tuned log in a folder of this test's own: with it a run measures nothing."""
    return Path(shutil.copy(tuned.log, tmp_path / "tvm-go.jsonl"))
