"""The journal of a training run: one JSON line for each step, and the same for TensorBoard if that is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvm_go.board import summary_writer

Row = Mapping[str, float]


class Journal:
    """Writes rows as they come; use as a context manager.

    Parameters
    ----------
    folder : Path, optional
        Where ``journal.jsonl`` is appended to, and TensorBoard's event file is written; nothing is written without it.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / "journal.jsonl"
        new_writer = None if folder is None else summary_writer()
        self.board: Any | None = None if new_writer is None else new_writer(str(folder))

    def write(self, step: int, row: Row) -> None:
        """Append one row."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **row}) + "\n")
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, step)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.board is not None:
            self.board.close()
