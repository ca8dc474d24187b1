"""What a child process is doing right now, readable from outside even when it hangs or has died."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StageFile:
    """A small file that holds the name of the child's current stage.

    Attributes
    ----------
    path : pathlib.Path
        The file; its modification time is the start of the stage.
    """

    path: Path

    def enter(self, stage: str) -> None:
        """Begin a stage; its time starts to count."""
        self.path.write_text(stage)

    def current(self) -> str:
        """The stage last begun; empty before the first."""
        return self.path.read_text() if self.path.exists() else ""

    def seconds(self) -> float:
        """Seconds since the current stage began."""
        return time.time() - self.path.stat().st_mtime if self.path.exists() else 0.0
