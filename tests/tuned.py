"""One run of `tvm-go tune-graph` on a small model, made once in a test session, whichever worker needs it first."""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.models import write_small_onnx
from tests.tvm_go.tvmc.command import Outcome, tvm_go

BUDGET = 14  # the default's nine kernels, and some that are searched


@dataclass(frozen=True)
class Tuned:
    """A folder with `small.onnx`, in which `tvm-go tune-graph small.onnx --budget 14 --json` ran; only to be read."""

    folder: Path
    outcome: Outcome

    @property
    def json(self) -> dict[str, Any]:
        figures = json.loads(self.outcome.stdout)
        assert isinstance(figures, dict)
        return figures

    @property
    def model(self) -> Path:
        return self.folder / "small.onnx"

    @property
    def log(self) -> Path:
        """With a copy of it the same run measures nothing."""
        return self.folder / "tvm-go.jsonl"

    @property
    def plan(self) -> Path:
        return self.folder / "small.plan.json"


def tuned_in(folder: Path) -> Tuned:
    """The run in a folder that workers share; who comes while it is under way waits for it."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        written = folder / "outcome.json"
        if not written.exists():
            write_small_onnx(folder / "small.onnx")
            outcome = tvm_go("tune-graph", folder / "small.onnx", "--budget", str(BUDGET), "--json", cwd=folder)
            written.write_text(json.dumps(asdict(outcome)))
    return Tuned(folder, Outcome(**json.loads(written.read_text())))
