"""Ctrl-C at any stage keeps the log and the best plan so far, leaves no process behind, and the next run goes on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.tvm_go.tvmc.command import Outcome, Running, measured
from tvm_go import GraphPlan

_RESUME = "what was measured is in tvm-go.jsonl, and the same command goes on from there"


def tune(models: Path) -> tuple[str | Path, ...]:
    return ("tune-graph", models / "small.onnx", "--budget", "14", "-o", "p.json")


def check(outcome: Outcome) -> None:
    assert outcome.status == 130, outcome.stderr
    assert outcome.error.startswith("tvm-go: interrupted")
    assert outcome.stderr.count("tvm-go:") == 1


def test_ctrl_c_in_one_stage_after_the_other(models: Path, tmp_path: Path) -> None:
    log, plan = tmp_path / "tvm-go.jsonl", tmp_path / "p.json"

    run = Running(*tune(models), cwd=tmp_path)
    run.wait_until(lambda stderr: "timing TVM's default" in stderr)
    time.sleep(0.3)
    outcome = run.interrupt(signal.SIGINT)
    check(outcome)
    assert outcome.stdout == ""
    assert not plan.exists()  # nothing is known yet

    run = Running(*tune(models), cwd=tmp_path)
    run.wait_until(lambda stderr: "choosing forms" in stderr)
    check(run.interrupt(signal.SIGINT))
    assert GraphPlan.load(plan).provenance["verdict"] == "interrupted"
    plan.unlink()

    # Without forms, of which close ones are timed as a whole before the search: that takes longer than all the rest.
    no_forms = ("--decide", "lowering", "fusion")
    run = Running(*tune(models), *no_forms, cwd=tmp_path)
    run.wait_until(lambda stderr: "searching" in stderr)
    before = len(measured(log))
    run.wait_until(lambda _: log.read_text().count('"error_kind"') > before)
    outcome = run.interrupt(signal.SIGINT)
    check(outcome)
    in_search = measured(log)
    assert len(in_search) > before
    assert outcome.error.endswith(f"the best plan so far is in p.json, not verified; {_RESUME}")
    assert not GraphPlan.load(plan).provenance["verified"]
    assert GraphPlan.load(plan).provenance["verdict"] == "interrupted"
    assert "nan" not in outcome.stdout
    plan.unlink()

    run = Running(*tune(models), *no_forms, cwd=tmp_path)
    run.wait_until(lambda stderr: "verifying" in stderr)
    time.sleep(2)
    outcome = run.interrupt(signal.SIGINT)
    check(outcome)
    in_verify = measured(log)
    assert in_verify[: len(in_search)] == in_search
    assert len(set(in_verify)) == len(in_verify), "a kernel was measured twice"
    assert not GraphPlan.load(plan).provenance["verified"]


def test_ctrl_c_before_anything_is_known_is_one_line(models: Path, tmp_path: Path) -> None:
    run = Running(*tune(models), "--json", cwd=tmp_path)
    run.wait_until(lambda _: bool(run.children()))
    outcome = run.interrupt(signal.SIGINT)
    check(outcome)
    assert outcome.stdout == ""


def test_ctrl_c_while_tvm_is_imported_is_one_line(models: Path, tmp_path: Path) -> None:
    run = Running(*tune(models), cwd=tmp_path)
    time.sleep(0.4)
    os.killpg(run.process.pid, signal.SIGINT)
    outcome = run.finish()
    # An interrupt inside exec() (dataclasses use it) makes Python end by the signal, which shells show as 130, too.
    assert outcome.status in (130, -signal.SIGINT)
    assert outcome.stderr == "tvm-go: interrupted\n"
    assert outcome.stdout == ""
