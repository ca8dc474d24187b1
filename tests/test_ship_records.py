"""The command that makes the shipped records tunes, writes whole files, keeps what it does not know, and resumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ship_records
from benchmarks.zoo import ZooModel
from cost_model.kernel_tuning import isa_of
from tests.cost_model.tunables import classifier
from tuning_logs import KernelRecord, TuningLog
from tuning_logs.shipped import records_for, write_records

AVX2 = "llvm -mcpu=core-avx2 -num-cores=2"


def test_records_of_a_small_model_are_tuned_written_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship_records, "load", lambda name: ZooModel(name, classifier(), {}))
    command = ["small", "--targets", AVX2, "--trials", "12", "--budget", "0"]
    command += ["--log", str(tmp_path / "log.jsonl"), "--folder", str(tmp_path)]
    ship_records.main(command)
    records = records_for("avx2", folder=tmp_path)
    assert records
    assert {isa_of(record.target) for record in records} == {"avx2"}
    size = (tmp_path / "log.jsonl").stat().st_size
    ship_records.main(command)
    assert (tmp_path / "log.jsonl").stat().st_size == size
    assert records_for("avx2", folder=tmp_path) == records


def test_records_of_kernels_that_the_log_does_not_know_are_kept(tmp_path: Path) -> None:
    one, *others = records_for("avx2")
    write_records(tmp_path / "avx2.jsonl.gz", others)
    log = TuningLog(tmp_path / "log.jsonl")
    log.append(one)
    assert ship_records.write(log, tmp_path) == {"avx2": 1 + len(others)}
    merged = records_for("avx2", folder=tmp_path)
    assert {record.key for record in merged} == {record.key for record in [one, *others]}
    assert all(isinstance(record, KernelRecord) for record in merged)


def test_a_target_of_no_class_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        ship_records.main(["lstm", "--targets", "llvm", "--log", str(tmp_path / "log.jsonl")])
    assert "llvm is none of avx512, avx2" in capsys.readouterr().err
    assert not (tmp_path / "log.jsonl").exists()
