"""Comparing ways of prediction: the graph network learns from wiring, and what was predicted is printed and plotted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cost_model
from benchmarks.cost_model import by_roofline, errors, learning_curve, split
from benchmarks.cost_model_plots import search_curves
from benchmarks.graph_network import KernelOps, by_network
from cost_model.dataset import dataset
from cost_model.structure import Structure
from tests.cost_model.test_predictor import records
from tests.partitions import partitioned, taken_apart
from tests.tuning_logs.samples import kernel
from tuning_logs import KernelRecord
from tuning_logs.files import kernels_of

PNG = b"\x89PNG\r\n\x1a\n"


def chain(length: int, sorted_ops: bool) -> Structure:
    """A chain of four exponentials and four tangents on tensors of some length: by turns, or exponentials first."""
    names = ["exp"] * 4 + ["tanh"] * 4 if sorted_ops else ["exp", "tanh"] * 4
    values = [["float32", [length, 64]] for _ in range(9)]
    ops = [[name, "{}", 0, length * 64.0, 0, [position], 1] for position, name in enumerate(names)]
    return {"ops": ops, "values": values, "outputs": [8]}


def chains(count: int) -> list[KernelRecord]:
    """Two chains of each length, of which the sorted one is twice as slow."""
    return [
        kernel(
            key=f"{2 * length + sorted_ops:032x}",
            structure=chain(length, sorted_ops),
            median_ms=0.001 * length * (1 + sorted_ops),
        )
        for length in range(1, count)
        for sorted_ops in (False, True)
    ]


def structures_of(found: list[KernelRecord]) -> dict[str, Structure]:
    return {one.key: one.structure for one in found if one.structure is not None}


def test_the_network_tells_kernels_apart_that_differ_by_their_wiring_alone() -> None:
    found = chains(100)
    data = dataset(found)
    np.testing.assert_array_equal(data.rows[::2], data.rows[1::2])  # rows do not
    unseen = np.isin(data.keys, [f"{number:032x}" for number in range(80, 100)])
    learned, test = data.take(~unseen), data.take(unseen)
    ms = by_network(KernelOps.of(structures_of(found)), learned, epochs=40)(test.rows, test.keys)
    assert np.isfinite(ms).all()
    assert (ms > 0).all()
    assert np.median(errors(test, ms)) < 0.15


def test_a_prediction_depends_on_the_seed_alone_and_not_on_what_stands_beside_a_kernel() -> None:
    found = chains(30)
    data = dataset(found)
    data = replace(data, ms=data.ms * np.exp2(np.random.default_rng(0).normal(size=len(data))))  # no sum explains them
    kernels = KernelOps.of(structures_of(found))
    predict, again = (by_network(kernels, data, epochs=2) for _ in range(2))
    ms = predict(data.rows, data.keys)
    np.testing.assert_array_equal(again(data.rows, data.keys), ms)
    np.testing.assert_allclose(predict(data.rows[7:9], data.keys[7:9]), ms[7:9], rtol=1e-5)
    assert not np.array_equal(by_network(kernels, data, epochs=2, seed=1)(data.rows, data.keys), ms)


def test_a_batch_has_the_ops_and_edges_of_its_kernels() -> None:
    graph, kernel = partitioned(seed=0, num_ops=60)
    structures = taken_apart(graph, kernel)
    kernels = KernelOps.of({str(number): one for number, one in enumerate(structures)})
    everything, lengths, ops = kernels.batch(np.arange(len(structures)))
    assert lengths.tolist() == [len(one["ops"]) for one in structures]
    assert ops.tolist() == list(range(graph.num_ops))
    assert everything.num_edges() == 2 * np.sum(kernel[graph.edge_src] == kernel[graph.edge_dst])
    large, small = np.argsort(-lengths)[[0, 4]]
    both, lengths, ops = kernels.batch(np.array([large, small]))
    (first, _, first_ops), (second, _, second_ops) = (kernels.batch(np.array([one])) for one in (large, small))
    assert ops.tolist() == [*first_ops, *second_ops]
    pairs = [set(zip(*(end.tolist() for end in one.edges()), strict=True)) for one in (both, first, second)]
    assert pairs[0] == pairs[1] | {(source + lengths[0], reader + lengths[0]) for source, reader in pairs[2]}
    assert pairs[1]
    assert pairs[2]


def test_operators_never_seen_are_all_the_same() -> None:
    found = chains(30)
    strange = []
    for key, name in (("e" * 32, "sin"), ("f" * 32, "cos")):
        other = chain(5, False)
        other["ops"][0][0] = name
        strange.append(replace(found[0], key=key, structure=other))
    kernels = KernelOps.of(structures_of([*found, *strange]))
    test = dataset(strange)
    one, two = by_network(kernels, dataset(found), epochs=5)(test.rows, test.keys)
    assert one == pytest.approx(two, rel=1e-5)


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
    monkeypatch.setattr(cost_model, "by_ensemble", cost_model.by_linear)  # which takes no seconds
    monkeypatch.setattr(cost_model, "_CURVE_SIZES", (5, 10, 1000))
    plots = tmp_path / "plots"
    ways = ("roofline", "additive", "linear", "ensemble")
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
    curve = learning_curve(splits, (5, 10, 1000), by_roofline)
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
