"""Comparing ways of prediction: what was predicted is printed and plotted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cost_model
from benchmarks.cost_model import learning_curve, split
from benchmarks.cost_model_plots import search_curves
from benchmarks.cost_model_ways import WAYS
from cost_model.dataset import dataset
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
    monkeypatch.setattr(cost_model, "WAYS", {**WAYS, "both": WAYS["linear"]})  # which takes no seconds
    monkeypatch.setattr(cost_model, "_CURVE_SIZES", (5, 10, 1000))
    plots = tmp_path / "plots"
    ways = ("roofline", "additive", "linear", "both")
    cost_model.main([str(log), "--ways", *ways, "ranking", "--plots", str(plots), "--curve"])
    printed = capsys.readouterr().out
    assert "118 measurements of 59 kernels" in printed
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("│")] == ["a", "b", "mean"]
    names = {f"{what}_{way}" for what in ("predicted", "errors") for way in ways}
    written = {path.stem: path.read_bytes()[:8] for path in plots.iterdir()}
    assert written == dict.fromkeys(names | {"learning_curve"}, PNG)


def test_a_target_can_be_left_out_of_two_and_not_of_one(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(log), "--ways", "linear", "--leave-out", "target", "--plots", str(log.parent / "plots")]
    with pytest.raises(SystemExit, match=r"kernels of one target only .*: `tvm-go log merge` it with one of another"):
        cost_model.main(arguments)
    records = kernels_of(log)
    with log.open("a") as file:
        file.writelines(replace(one, target=f"{one.target} -num-cores=9").to_json_line() + "\n" for one in records)
    cost_model.main(arguments)
    assert "-num-cores=9" in capsys.readouterr().out


def test_a_learning_curve_ends_at_all_kernels(log: Path) -> None:
    data = dataset(kernels_of(log))
    plans = json.loads(log.with_suffix(".plans.json").read_text())
    splits = [split(data, name, own) for name, own in plans.items()]
    curve = learning_curve(splits, (5, 10, 1000), WAYS["roofline"])
    everything = np.mean([len(np.unique(learned.keys)) for learned, _ in splits])
    assert curve[:, 0].tolist() == [5, 10, everything]
    assert (curve[:, 1] >= 0).all()
    assert (np.abs(curve[:, 2]) <= 1).all()


def test_searches_are_plotted(tmp_path: Path) -> None:
    curves = {
        f"{model} {seed} {way}": [(1 + seed, float("inf")), (3, 5.0), (9, 4.0 - seed)]
        for model in ("net", "other")
        for seed in range(2)
        for way in ("measured", "predicted")
    }
    search_curves(tmp_path / "plots" / "search.png", curves)
    assert (tmp_path / "plots" / "search.png").read_bytes()[:8] == PNG
