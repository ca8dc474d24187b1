"""`tvm-go log`: logs are shown, checked, merged, filled and learned from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tuning_logs.samples import failure, kernel, plan
from tests.tvm_go.tvmc.command import measured, tvm_go
from tuning_logs import KernelRecord, TuningLog
from tvm_go.tvmc.main import main


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    written = TuningLog(path)
    for record in (kernel(model="net"), failure(key="f" * 32), plan()):
        written.append(record)
    return path


def command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["log", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_show_counts_and_names_failures(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(capsys, "show", log, "--json")
    (one,) = json.loads(out)
    assert status == 0
    assert (one["kernels"], one["usable"], one["measurements"], one["plans"]) == (2, 1, 2, 1)
    assert one["models"] == {"net": 1}
    assert sum(one["failures"].values()) == 1
    assert list(one["best"].values()) == [pytest.approx(plan().default_ms / plan().plan_ms)]
    status, out, _ = command(capsys, "show", log)
    assert status == 0
    assert "2, 1 of them usable, 0 described" in out


def test_check_names_the_lines_that_are_no_records(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "check", log)[0] == 0
    with log.open("a") as file:
        file.write('{"version":2,"kind":"song"}\n{"version":2,"ki')
    status, out, _ = command(capsys, "check", log)
    assert status == 1
    assert f"{log}:4: field 'kind' must be 'kernel' or 'plan'" in out
    assert "the last line is cut short" in out
    assert out.endswith("2 kernel and 1 plan records, 2 problems\n")


def test_merge_keeps_each_record_once(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, both = tmp_path / "b.jsonl", tmp_path / "both.jsonl"
    for record in (kernel(model="net"), replace(kernel(), lowering="tir")):
        TuningLog(other).append(record)
    status, out, _ = command(capsys, "merge", log, other, "-o", both)
    assert (status, out) == (0, f"{both}: 4 records\n")
    assert TuningLog(both).load() == [*TuningLog(log).load(), TuningLog(other).load()[1]]


def test_collect_goes_on_where_it_was_stopped_and_a_model_learns_from_it(models: Path, tmp_path: Path) -> None:
    collect = ("log", "collect", models / "small.onnx", "--kernels", "20", "--log", "k.jsonl")
    first = tvm_go(*collect, "--seconds", "1", cwd=tmp_path)
    assert first.status == 0, first.stderr
    before = measured(tmp_path / "k.jsonl")
    again = tvm_go(*collect, cwd=tmp_path)
    assert again.status == 0, again.stderr
    found = measured(tmp_path / "k.jsonl")
    assert found[: len(before)] == before
    assert len(found) == len(set(found)), "a kernel was measured twice"
    records = [one for one in TuningLog(tmp_path / "k.jsonl").load() if isinstance(one, KernelRecord)]
    assert all(one.structure for one in records)
    assert len({one.key for one in records if one.model == "small"}) >= 20
    measure = ("log", "measure", "k.jsonl", "--log", "again.jsonl")
    for _ in range(2):
        done = tvm_go(*measure, cwd=tmp_path)
        assert done.status == 0, done.stderr
        assert "left out" not in done.stderr
        assert sorted(measured(tmp_path / "again.jsonl")) == sorted(found)
    trained = tvm_go("log", "train", "k.jsonl", "-o", "cost.model", cwd=tmp_path)
    assert trained.status == 0, trained.stderr
    assert (tmp_path / "cost.model").exists()


def test_bad_input_is_one_line(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status, message in (
        (("show", "none"), 1, "there is no log none: no such file"),
        (("check", tmp_path / "none.gz"), 1, "no such file"),
        (("train", log, "-o", tmp_path / "m"), 1, "says what its kernel is"),
        (("train", log, "-o", tmp_path / "no" / "m"), 2, "cannot write the cost model"),
        (("merge", log, "-o", tmp_path), 2, "it is a folder"),
        (("collect", "none.onnx", "--log", tmp_path / "l"), 2, "there is no model file 'none.onnx'"),
        (("collect", "none.onnx", "--log", tmp_path), 1, "cannot"),
        (("measure", log, "--log", tmp_path / "l"), 1, "no record says what its kernel is"),
        (("measure", log, "--log", tmp_path), 1, "cannot"),
    ):
        code, out, err = command(capsys, *arguments)
        assert (code, out) == (status, "")
        assert err.count("\n") == 1
        assert message in err
