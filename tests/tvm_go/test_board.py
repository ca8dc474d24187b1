"""What a run writes for TensorBoard is read back by TensorBoard; without its package there is one clear line."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.tvm_go.runs import DEFAULT_MS, SUMS_MS, Clock, told
from tvm_go.board import Board, quiet_writer
from tvm_go.errors import UsageError
from tvm_go.run_record import RunRecord

OPTIONS = {"strategy": "annealing", "budget": 40, "seconds": float("inf"), "decide": ["fusion"], "log": None}

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None and not os.environ.get("CI"), reason="there is no tensorboard"
)


def write(folder: Path) -> Path:
    """The folder of a run that was told to a board."""
    clock = Clock()
    run = RunRecord(clock)
    board = Board(folder, run, name="net", options=OPTIONS)
    told(clock, board, run=run)
    board.close()
    assert board.figures.error == ""
    return board.figures.folder


def events(folder: Path) -> Any:
    """All that TensorBoard finds in a folder."""
    reader = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(folder))
    found.Reload()
    return found


@needs_tensorboard
def test_scalars_are_read_back_with_the_times_known_as_steps(tmp_path: Path) -> None:
    found = events(write(tmp_path / "new" / "board"))

    def scalars(name: str) -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in found.Scalars(name)]

    best = scalars("best/sum of kernels, ms")
    assert dict(best) == dict(zip((10, 15, 20, 25), SUMS_MS, strict=True))
    assert scalars("best/speed-up by that sum")[-1] == pytest.approx((25, DEFAULT_MS / SUMS_MS[-1]))
    assert scalars("kernels/measured")[-1] == (25, 15.0)
    assert scalars("kernels/from the log")[-1] == (25, 10.0)
    assert scalars("kernels/predicted")[-1] == (25, 9.0)
    assert scalars("failures/timeout") == [(13, 1.0)]
    assert scalars("measured in/search")[-1] == (25, 15.0)
    assert scalars("seconds/begin of search") == [(10, 5.0)]
    assert scalars("whole/speed-up") == [(25, 1.5)]


@needs_tensorboard
def test_the_options_stand_beside_the_outcome(tmp_path: Path) -> None:
    found = events(write(tmp_path))
    text = found.Tensors("run/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "strategy: annealing" in text
    assert "log" not in text
    plugin = found.SummaryMetadata("_hparams_/session_start_info").plugin_data
    assert plugin.plugin_name == "hparams"
    assert b"annealing" in plugin.content
    assert found.Scalars("outcome/speed-up as a whole")[-1].value == 1.5


@needs_tensorboard
def test_each_run_has_a_folder_named_after_the_model(tmp_path: Path) -> None:
    assert write(tmp_path).name.startswith("net-2")


@needs_tensorboard
def test_a_disk_that_fills_up_ends_the_writing_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = importlib.import_module("tensorboard.summary.writer.record_writer")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    clock = Clock()
    run = RunRecord(clock)
    board = Board(tmp_path, run, name="net", options=OPTIONS)
    monkeypatch.setattr(records.RecordWriter, "write", full)
    printed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)
    with quiet_writer():
        told(clock, board, run=run)
        board.close()
    assert not printed
    assert threading.excepthook == printed.append
    assert board.figures.error == f"No space left on device: {board.figures.folder}"
    assert run.measured == 15


@needs_tensorboard
def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "x", "Not a directory")):
        with pytest.raises(UsageError, match=rf"{folder}' \({reason}\); choose another folder with --tensorboard"):
            Board(folder, RunRecord(), name="net", options={})


def test_a_package_that_is_missing_is_named_and_no_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = builtins.__import__

    def without_tensorboard(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return found(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without_tensorboard)
    with pytest.raises(UsageError, match="needs the packages torch and tensorboard: pip install torch tensorboard"):
        Board(tmp_path / "board", RunRecord(), name="net", options={})
    assert not (tmp_path / "board").exists()
