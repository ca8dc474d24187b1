"""`tune-graph` as its users see it: results on stdout, the rest on stderr, and every option takes effect."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tuned import BUDGET, Tuned
from tests.tvm_go.report.plans import rows_in
from tests.tvm_go.tvmc.command import ENVIRONMENT, TVM_GO, measured, tvm_go
from tvm_go import GraphPlan
from tvm_go.errors import MeasureError
from tvm_go.tvmc import tune_graph as command
from tvm_go.tvmc.main import main

VERDICTS = ("faster", "same", "slower", "default")


def test_json_is_one_object_and_all_that_is_printed(tuned: Tuned) -> None:
    assert tuned.outcome.status == 0, tuned.outcome.stderr
    assert tuned.outcome.stdout.count("\n") == 1
    assert tuned.outcome.stderr == ""
    figures = tuned.json
    assert figures["verdict"] in VERDICTS
    assert figures["default_ms"] > 0
    assert figures["plan_ms"] > 0
    assert figures["speedup"] >= 1
    assert 0 < figures["kernels_plan"] <= figures["kernels_default"] == 9
    assert 9 < figures["measured"] == len(set(measured(tuned.log)))
    # the nine kernels of TVM's own forms, and what was asked for in the suggested forms
    assert 9 < len({key for key, _ in measured(tuned.log)}) <= 9 + BUDGET
    assert figures["plan_path"] == "small.plan.json"
    assert figures["log_path"] == "tvm-go.jsonl"
    assert len(measured(tuned.log)) == figures["measured"]


def test_the_plan_says_how_it_came_about(tuned: Tuned) -> None:
    plan = GraphPlan.load(tuned.plan)
    assert plan.target.startswith("llvm -keys=cpu -mcpu=")
    assert plan.provenance["verified"]
    expected = {
        "model": "small",
        "strategy": "annealing",
        "seed": 0,
        "budget": BUDGET,
        "verdict": tuned.json["verdict"],
    }
    assert expected.items() <= plan.provenance.items()


def test_the_same_command_again_measures_nothing_and_gives_the_same_plan(
    tuned: Tuned, models: Path, log: Path, tmp_path: Path
) -> None:
    """Also what is printed where stdout is a file: tables of at most 100 columns, progress as lines."""
    again = tvm_go("tune-graph", models / "small.onnx", "--budget", str(BUDGET), cwd=tmp_path)
    assert again.status == 0, again.stderr
    assert (tmp_path / "small.plan.json").read_text() == (tuned.plan).read_text()
    assert log.read_text() == (tuned.log).read_text()

    stages = [re.sub(r"^ *[\d.]+ s  |:.*", "", line) for line in again.stderr.splitlines()]
    assert [stage for stage in dict.fromkeys(stages) if stage != "as a whole"] == [
        "preparing the graph",
        "timing TVM's default",
        "choosing forms",
        "searching",
        "verifying the plan",
    ]
    assert "\x1b" not in again.stdout + again.stderr
    *table, verdict = again.stdout.splitlines()
    assert max(len(line) for line in table) <= 100
    assert all(line.count("│") in (0, 3, 6, 7) for line in table)
    assert sum(line.startswith("│ ") for line in table) >= 1 + tuned.json["kernels_plan"]
    assert f"0 kernel times measured, {tuned.json['measured']} from the log" in again.stdout
    assert re.search(
        r"time: [\d.]+ s \(prepare .*compile 0\.0 s, measure 0\.0 s, search .*verify 0\.0 s\)", again.stdout
    )
    assert re.match(r"[\d.]+ ms -> [\d.]+ ms \([\d.]+x\): .*; plan: small\.plan\.json$", verdict)


def test_quiet_prints_the_verdict_only_and_writes_what_is_asked_for(
    tuned: Tuned, models: Path, log: Path, tmp_path: Path
) -> None:
    options = ["--budget", str(BUDGET), "--quiet", "--report", "run.html"]
    if importlib.util.find_spec("tensorboard") is not None or os.environ.get("CI"):
        options += ["--tensorboard", "board"]
    quiet = tvm_go("tune-graph", models / "small.onnx", *options, cwd=tmp_path)
    assert quiet.stderr == ""
    assert re.fullmatch(r"[\d.]+ ms -> .*; plan: small\.plan\.json\n", quiet.stdout)
    html = (tmp_path / "run.html").read_text()
    assert f"tvm-go tune-graph {models / 'small.onnx'} {' '.join(options)}" in html
    assert f"0 times measured, {tuned.json['measured']} from the log" in html
    plan = GraphPlan.load(tmp_path / "small.plan.json")
    best_ms = float(rows_in(html, "improvement-table")[-1][3])
    assert best_ms <= plan.provenance["sum_of_kernels_ms"] * 1.001 + 0.00005  # the report shows four decimals
    assert len(rows_in(html, "kernel-table")) == len(tuned.json["kernels"])
    if "board" in options:
        (folder,) = (tmp_path / "board").iterdir()
        assert folder.name.startswith("small-")
        assert any(path.name.startswith("events.out.tfevents") for path in folder.iterdir())


def test_a_terminal_of_80_columns_gets_a_bar_and_tables_that_fit(models: Path, log: Path, tmp_path: Path) -> None:
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [*TVM_GO, "tune-graph", str(models / "small.onnx"), "--budget", str(BUDGET)],
        cwd=tmp_path,
        env={**environment, "TERM": "xterm-256color"},
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    screen = b""
    while part := _read(parent):
        screen += part
    os.close(parent)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.decode())
    frames = re.split(r"[\r\n]+", text)
    assert any(re.search(r"searching .*━.* \d+/\d+ kernels.*\d:\d\d:\d\d", frame) for frame in frames)
    assert any(re.search(r"preparing the graph .*━", frame) for frame in frames)
    assert max(len(frame.rstrip()) for frame in frames if "━" in frame or "│" in frame) <= 80


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux: the other end is closed
        return b""


def tune_quietly(model: Path, folder: Path, *options: str) -> GraphPlan:
    """Run the command in this process; the plan that it wrote."""
    plan = folder / "p.json"
    with pytest.raises(SystemExit) as end:
        main(["tune-graph", str(model), "--log", str(folder / "tvm-go.jsonl"), "-o", str(plan), "--json", *options])
    assert end.value.code == 0
    return GraphPlan.load(plan)


def test_every_option_reaches_the_tuner(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def spy(mod: object, params: object, **arguments: Any) -> None:
        given.update(arguments)
        raise MeasureError("enough")

    monkeypatch.setattr(command, "tune_graph", spy)
    model = models / "small.onnx"
    options = "--target llvm --log l --strategy go --policy p.pt --rules tvm --budget 7 --seconds 2.5 --seed 11 "
    options += (
        "--kernel-trials 9 --no-ablation --decide fusion --no-shipped-records --records r.jsonl --placement min_cut"
    )
    with pytest.raises(SystemExit) as end:
        main(["tune-graph", str(model), *options.split(), "--rpc-tracker", "host:1234", "--rpc-key", "board"])
    assert end.value.code == 1
    del given["callbacks"]
    tracker = given.pop("rpc")
    assert (tracker.tracker_host, tracker.tracker_port, tracker.key) == ("host", 1234, "board")
    assert given == {
        "target": "llvm",
        "log": "l",
        "budget": 7,
        "seconds": 2.5,
        "strategy_name": "go",
        "policy": "p.pt",
        "rules": "tvm",
        "seed": 11,
        "kernel_trials": 9,
        "ablate": False,
        "decide": ["fusion"],
        "shipped_records": False,
        "extra_records": "r.jsonl",
        "cost_model": None,
        "placement": "min_cut",
        "name": "small",
    }


def test_relay_text_is_tuned_by_the_strategy_the_rules_and_the_time_that_are_given(
    models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The arguments of its main are inputs; tvmc makes constants of them, and folds the whole model away."""
    options = ["--strategy", "default", "--rules", "tvm", "--decide", "lowering", "fusion"]
    plan = tune_quietly(models / "small.relay", tmp_path, *options)
    default = json.loads(capfd.readouterr().out)
    assert default["verdict"] in VERDICTS  # TVM's kernels, though perhaps by other schedules
    in_log = measured(tmp_path / "tvm-go.jsonl")
    assert default["measured"] == len(in_log)
    assert default["kernels_default"] == default["kernels_plan"] == len({key for key, _ in in_log}) > 0
    assert (plan.rules, plan.provenance["strategy"]) == ("tvm", "default")

    plan = tune_quietly(models / "small.relay", tmp_path, "--decide", "lowering", "fusion", "--seconds", "1e-9")
    in_no_time = json.loads(capfd.readouterr().out)
    assert (in_no_time["measured"], in_no_time["from_log"]) == (0, default["measured"])
    found_better = in_no_time["verdict"] == "faster"  # than TVM's default, which stands in for it otherwise
    assert (plan.rules, plan.provenance["strategy"]) == ("open" if found_better else "tvm", "annealing")


def test_a_torchscript_file_needs_its_shapes_and_gets_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Softmax(-1)).eval()
    torch.jit.trace(net, torch.zeros(2, 16)).save(str(tmp_path / "net.pth"))
    with pytest.raises(SystemExit) as end:
        main(["tune-graph", str(tmp_path / "net.pth"), "-o", str(tmp_path / "p.json")])
    assert end.value.code == 2
    assert "--input-shapes" in capfd.readouterr().err

    seen = {}

    def spy(mod: Any, params: Any, **_: object) -> None:
        seen["inputs"] = [var.name_hint for var in mod["main"].params if var.name_hint not in params]
        raise MeasureError("enough")

    monkeypatch.setattr(command, "tune_graph", spy)
    with pytest.raises(SystemExit):
        main(["tune-graph", str(tmp_path / "net.pth"), "--input-shapes", "x:[2,16]", "-o", str(tmp_path / "p.json")])
    assert seen["inputs"] == ["x"]
