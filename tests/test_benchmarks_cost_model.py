"""Comparing ways of prediction: what was predicted is printed and plotted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from benchmarks import cost_model
from benchmarks.cost_model import learning_curve, split
from benchmarks.cost_model_plots import search_curves
from benchmarks.cost_model_ways import WAYS
from benchmarks.fewer_measurements import Remembering, measurements_until, summary
from cost_model.dataset import dataset
from cost_model.kernel_result import ErrorKind, KernelResult, failed_result, timed_result
from cost_model.kernel_task import KernelTask
from cost_model.measure import Measurer
from tests.cost_model.test_predictor import records
from tuning_logs.files import kernels_of

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Additions of two models, and which of them their plans have."""
    found = [replace(one, model=one.model or "ab"[int(one.key, 16) % 2]) for one in records(60)]
    path = tmp_path / "kernels.jsonl"
    path.write_text("".join(one.to_json_line() + "\n" for one in found))
    plans = {name: [[f"{rows + step:032x}" for step in (0, 2)] for rows in range(odd + 2, 56, 2)]
             for odd, name in enumerate("ab")}  # fmt: skip
    path.with_suffix(".plans.json").write_text(json.dumps(plans))
    return path


def test_the_comparison_is_printed_and_plotted(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cost_model, "WAYS", {**WAYS, "networks": WAYS["linear"]})  # which takes no seconds
    monkeypatch.setattr(cost_model, "_CURVE_SIZES", (5, 10, 1000))
    plots = tmp_path / "plots"
    ways = ("roofline", "additive", "linear", "networks")
    cost_model.main([str(log), "--ways", *ways, "ranking", "--plots", str(plots), "--curve"])
    printed = capsys.readouterr().out
    assert "118 measurements of 59 kernels" in printed
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("│")] == ["a", "b", "mean"]
    names = {f"{what}_{way}" for what in ("predicted", "errors") for way in ways}
    written = {path.stem: path.read_bytes()[:8] for path in plots.iterdir()}
    assert written == dict.fromkeys(names | {"learning_curve"}, PNG)


def test_what_was_predicted_before_is_not_predicted_again(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--ways", "roofline", "linear", "--folder", str(tmp_path / "kept"), "--plots", str(tmp_path / "plots")]
    cost_model.main([str(log), *options])
    first = capsys.readouterr().out
    cost_model.main([str(log), *options])
    assert capsys.readouterr().out == first
    with np.load(tmp_path / "kept" / "a.npz") as kept:
        np.savez(tmp_path / "kept" / "a.npz", **{way: kept[way] * 2 for way in kept.files})
    cost_model.main([str(log), *options])
    changed = capsys.readouterr().out
    assert [line for line in changed.splitlines() if line.startswith("b, ")] == [
        line for line in first.splitlines() if line.startswith("b, ")
    ]
    assert changed != first


def test_a_target_can_be_left_out_of_two_and_not_of_one(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(log), "--ways", "linear", "--leave-out", "target", "--plots", str(log.parent / "plots")]
    with pytest.raises(SystemExit, match=r"kernels of one target only .*: `tvm-go log merge` it with one of another"):
        cost_model.main(arguments)
    records = kernels_of(log)
    with log.open("a") as file:
        file.writelines(replace(one, target=f"{one.target} -num-cores=9").to_json_line() + "\n" for one in records)
    cost_model.main(arguments)
    assert "-num-cores=9" in capsys.readouterr().out


def test_a_model_left_out_is_tested_where_it_was_measured_and_not_learned_from_anywhere(log: Path) -> None:
    records = kernels_of(log)
    plans = json.loads(log.with_suffix(".plans.json").read_text())["a"]
    own = {key for plan in plans for key in plan}
    known = own.intersection(one.key for one in records)
    half = set(sorted(known)[::2])
    there = [replace(one, target="there") for one in records if one.key in half]
    shared = [replace(one, target="other", model="c") for one in records if one.key in sorted(known)[:2]]
    learned, test = split(dataset([*records, *there, *shared]), "a", plans)
    assert not own.intersection(learned.keys)
    by_target = {target: set(test.keys[test.targets == target]) for target in test.targets.tolist()}
    assert by_target == {records[0].target: known, "there": half}


def test_a_learning_curve_ends_at_all_kernels(log: Path) -> None:
    data = dataset(kernels_of(log))
    plans = json.loads(log.with_suffix(".plans.json").read_text())
    splits = [split(data, name, own) for name, own in plans.items()]
    curve = learning_curve(splits, (5, 10, 1000), WAYS["roofline"])
    everything = np.mean([len(np.unique(learned.keys)) for learned, _ in splits])
    assert curve[:, 0].tolist() == [5, 10, everything]
    assert (curve[:, 1] >= 0).all()
    assert (np.abs(curve[:, 2]) <= 1).all()


def test_a_search_is_as_good_once_its_best_plan_takes_no_more() -> None:
    curve = [(4, float("inf")), (9, 5.0), (12, 4.0), (30, 4.0)]
    assert [measurements_until(curve, ms) for ms in (5.0, 4.5, 4.0)] == [9, 12, 12]
    assert measurements_until(curve, 3.9) == float("inf")


def test_searches_are_summed_up_where_both_were_done() -> None:
    curves = {
        "net 0 measured": [(100, 8.0), (200, 4.0)],
        "net 0 predicted": [(20, 8.0), (50, 4.02), (80, 4.02)],
        "net 1 measured": [(100, 8.0)],
        "other 0 measured": [(5, 1.0)],
    }
    table = summary(curves)
    assert [list(column.cells) for column in table.columns] == [
        [cell] for cell in ("net", "1", "4.0000", "200", "200", "1.005", "80", "50", "0.25")
    ]


def test_results_are_measured_once_and_kept(tmp_path: Path) -> None:
    good = timed_result(key="a", times_ms=(1.0, 2.0, 3.0), numerics="ok", max_error=0.0, build_s=0.1, run_s=0.2)
    bad = failed_result(key="b", error_kind=ErrorKind.RUN_CRASH, error_msg="gone", max_error=1.0)
    asked: list[list[str]] = []

    class Given:
        def measure(self, tasks: Sequence[KernelTask]) -> list[KernelResult]:
            asked.append([task.key for task in tasks])
            return [{"a": good, "b": bad}[task.key] for task in tasks]

    a, b = (KernelTask(key, "", 1) for key in "ab")
    for tasks in ([a], [b, a], [a, b]):
        measurer = Remembering(cast(Measurer, Given()), tmp_path / "measured.jsonl")
        assert list(measurer.measure(tasks)) == [{"a": good, "b": bad}[task.key] for task in tasks]
    assert asked == [["a"], ["b"], []]


def test_searches_are_plotted(tmp_path: Path) -> None:
    curves = {
        f"{model} {seed} {way}": [(1 + seed, float("inf")), (3, 5.0), (9, 4.0 - seed)]
        for model in ("net", "other")
        for seed in range(2)
        for way in ("measured", "predicted")
    }
    search_curves(tmp_path / "plots" / "search.png", curves)
    assert (tmp_path / "plots" / "search.png").read_bytes()[:8] == PNG
