"""The journal of a training run: one JSON line for each step, and a point of each of TensorBoard's curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import RawIOBase
from pathlib import Path

from tvm_go.board import Figures
from tvm_go.errors import UsageError

JOURNAL_FILE = "journal.jsonl"
Row = Mapping[str, float]


class Journal:
    """Writes rows as they come; use as a context manager.

    Parameters
    ----------
    folder : Path, optional
        Where `JOURNAL_FILE` is written anew.
    figures : Figures, optional
    before : sequence of mappings
        Rows of the steps that are done; a run that was killed may have written more of them than it had saved.

    Raises
    ------
    UsageError
        If the file cannot be written; `write` raises it, too.
    """

    def __init__(self, folder: Path | None, figures: Figures | None = None, before: Sequence[Row] = ()) -> None:
        self._path = None if folder is None else folder / JOURNAL_FILE
        self._file: RawIOBase | None = None
        self._figures = figures
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("wb", buffering=0)  # nothing is left to write at the end
            except OSError as error:
                raise self._unwritable(error) from None
        for step, row in enumerate(before):
            self.write(step, row)

    def write(self, step: int, row: Row) -> None:
        """Append one row."""
        if self._file is not None:
            try:
                self._file.write((json.dumps({"step": step, **row}) + "\n").encode())
            except OSError as error:
                raise self._unwritable(error) from None
        if self._figures is not None:
            for name, value in row.items():
                self._figures.scalar(name, value, step)

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(f"cannot write {self._path} ({error.strerror}); make room or choose another place")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
