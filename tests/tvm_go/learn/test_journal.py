"""The journal of a training run: what stands in it, in its file and in TensorBoard."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tvm_go.board import Figures
from tvm_go.errors import UsageError
from tvm_go.learn.journal import JOURNAL_FILE, Journal

ROWS = [{"imitation_loss": 0.5}, {"reward": -1.0, "gap/a on 2 gpus": 0.25}]


def test_rows_of_before_come_first_whatever_stood_in_the_file(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_text("torn")
    with Journal(tmp_path, before=ROWS[:1]) as journal:
        journal.write(1, ROWS[1])
        rows = [json.loads(line) for line in (tmp_path / JOURNAL_FILE).read_text().splitlines()]
    assert rows == [{"step": 0, **ROWS[0]}, {"step": 1, **ROWS[1]}]


def test_nothing_is_written_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Journal(None) as journal:
        journal.write(0, ROWS[0])
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write .*file/journal\.jsonl \(File exists\)"):
        Journal(tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / JOURNAL_FILE).symlink_to("/dev/full")
    with Journal(tmp_path / "full") as journal, pytest.raises(UsageError, match=r"\(No space left on device\); make"):
        journal.write(0, ROWS[0])


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None and not os.environ.get("CI"), reason="there is no tensorboard"
)
def test_every_number_of_a_row_is_a_curve_of_tensorboard_that_begins_with_the_rows_of_before(tmp_path: Path) -> None:
    figures = Figures(tmp_path, name="policy")
    with Journal(None, figures, ROWS[:1]) as journal:
        journal.write(1, ROWS[1])
    figures.close()
    reader = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    found: Any = reader.EventAccumulator(str(figures.folder))
    found.Reload()
    curves = {name: [(one.step, one.value) for one in found.Scalars(name)] for name in found.Tags()["scalars"]}
    assert curves == {"imitation_loss": [(0, 0.5)], "reward": [(1, -1.0)], "gap/a on 2 gpus": [(1, 0.25)]}
