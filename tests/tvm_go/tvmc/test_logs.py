"""A log that is damaged, too new, or cannot grow: what can be used is used, and nothing measured before is lost."""

from __future__ import annotations

import json
import resource
from pathlib import Path

from tests.tuned import BUDGET, Tuned
from tests.tvm_go.tvmc.command import Outcome, measured, tvm_go


def tune(models: Path, folder: Path, limit_bytes: int | None = None) -> Outcome:
    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    arguments = ("tune-graph", models / "small.onnx", "--budget", str(BUDGET), "--json")
    return tvm_go(*arguments, cwd=folder, limit_resources=limit)


def test_a_corrupt_line_is_skipped_and_said_once(models: Path, tuned: Tuned, log: Path, tmp_path: Path) -> None:
    lines = log.read_text().splitlines()
    lines.insert(3, '{"version":1,"kind":"kernel","key":"abc')
    log.write_text("\n".join(lines) + "\n")
    outcome = tune(models, tmp_path)
    assert outcome.status == 0
    assert outcome.stderr.count("\n") == 1
    assert "tvm-go.jsonl:4: " in outcome.error
    assert outcome.error.endswith("; skipped")
    figures = json.loads(outcome.stdout)
    assert (figures["measured"], figures["from_log"]) == (0, tuned.json["measured"])
    assert log.read_text().splitlines() == lines


def test_a_log_of_a_newer_version_is_left_alone(models: Path, log: Path, tmp_path: Path) -> None:
    with log.open("a") as file:
        file.write('{"version":99,"kind":"kernel"}\n')
    before = log.read_bytes()
    outcome = tune(models, tmp_path)
    assert outcome.status == 1
    assert outcome.stdout == ""
    assert outcome.stderr == outcome.error + "\n"
    assert "99" in outcome.error
    assert "upgrade" in outcome.error
    assert log.read_bytes() == before


def test_a_full_disk_ends_the_run_and_keeps_the_log(models: Path, log: Path, tmp_path: Path) -> None:
    """The disk is full for a log that is, thanks to blank lines, larger than any other file of the run."""
    kept = log.read_text().splitlines()[:5]
    log.write_text("\n".join(kept) + "\n" * (8 << 20))
    outcome = tune(models, tmp_path, limit_bytes=log.stat().st_size + 1100)  # one record more
    assert outcome.status == 1
    assert outcome.stdout == ""
    assert outcome.stderr == outcome.error + "\n"
    assert "cannot write tuning log tvm-go.jsonl: No space left on device; records before this one are" in outcome.error
    assert "free the disk, or give another file" in outcome.error
    assert len(measured(log)) == 6
    assert [line for line in log.read_text().splitlines() if line][:5] == kept
