"""The regressor learns, says how sure it is, and is saved as a file that says what made it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from cost_model.dataset import COLUMNS, Dataset
from cost_model.kernel_ops import KernelOps
from cost_model.regressor import VERSION, CostModel
from cost_model.roofline import roofline
from tvm_go.errors import LogError


def made_up(count: int, seed: int = 0, slower: float = 1.0) -> Dataset:
    """Kernels whose time follows from two features; those with several anchors fail."""
    rng = np.random.default_rng(seed)
    rows = np.full((count, len(COLUMNS)), np.nan)
    rows[:, : COLUMNS.index("cores")] = rng.uniform(0, 4, size=(count, COLUMNS.index("cores")))
    for name in ("flops", "bytes_in", "bytes_out"):
        rows[:, COLUMNS.index(name)] = rng.uniform(10, 25, size=count)
    anchors = rows[:, COLUMNS.index("anchors")]
    ms = slower * np.exp2(roofline(rows) + 0.5 * anchors)
    ms[anchors > 3] = np.inf
    keys = np.array([f"{number:032x}" for number in range(count)])
    nothing, numbers = np.zeros(0, dtype=np.int64), np.arange(count + 1)
    alone = KernelOps(numbers, np.zeros_like(numbers), np.ones((count, 1)), nothing, nothing)  # of one op each
    return Dataset(rows, alone, numbers[:-1], ms, keys, np.array(["a"] * count), np.array(["llvm"] * count))


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel.fit(made_up(1000), rounds=60, members=2, networks=2, epochs=30)


def error(model: CostModel, data: Dataset) -> float:
    worked = np.isfinite(data.ms)
    return float(np.median(np.abs(model.predict(data.take(worked)).ms / data.ms[worked] - 1)))


def test_it_learns_times_and_failures(model: CostModel) -> None:
    unseen = made_up(500, seed=1)
    assert error(model, unseen) < 0.15
    predicted = model.predict(unseen)
    assert np.mean((predicted.failure > 0.5) == np.isinf(unseen.ms)) > 0.95
    assert (predicted.spread >= 0).all()
    sums_ms = np.exp2(model.additive.predict(unseen.rows))
    np.testing.assert_allclose(predicted.sum_ms, sums_ms)


def test_it_learns_more(model: CostModel) -> None:
    other = made_up(500, seed=2, slower=1.5)
    again = model.refit(other)
    assert error(again, made_up(500, seed=3, slower=1.5)) < 0.5 * error(model, made_up(500, seed=3, slower=1.5))
    nothing = other.take(np.zeros(len(other), dtype=bool))
    assert model.refit(nothing) is model


def test_it_is_saved_whole(model: CostModel, tmp_path: Path) -> None:
    other = made_up(50, seed=4)
    taught = model.refit(made_up(100, seed=5, slower=2.0))
    taught.save(tmp_path / "m.zip")
    again = CostModel.load(tmp_path / "m.zip").predict(other)
    np.testing.assert_array_equal(again.ms, taught.predict(other).ms)
    np.testing.assert_array_equal(again.failure, taught.predict(other).failure)


def rewritten(path: Path, name: str, old: bytes, new: bytes) -> None:
    """Change one member of an archive."""
    with zipfile.ZipFile(path) as archive:
        content = {one: archive.read(one) for one in archive.namelist()}
    content[name] = content[name].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for one, data in content.items():
            archive.writestr(one, data)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "about.json",
            f'"version": {VERSION}'.encode(),
            b'"version": 9',
            r"of another version \(9\).*tvm-go log train",
        ),
        ("about.json", b'"flops"', b'"flips"', "made for other features"),
        ("trees_0.ubj", b"learner", b"l\xff\xffrner", "was written by XGBoost .* cannot read"),
        ("about.json", b"{", b"[", "is no cost model"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(
    model: CostModel, tmp_path: Path, name: str, old: bytes, new: bytes, message: str
) -> None:
    model.save(tmp_path / "m.zip")
    rewritten(tmp_path / "m.zip", name, old, new)
    with pytest.raises(LogError, match=message) as raised:
        CostModel.load(tmp_path / "m.zip")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_missing_or_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="No such file"):
        CostModel.load(tmp_path / "none.zip")
    (tmp_path / "text").write_text("text")
    with pytest.raises(LogError, match="is no cost model"):
        CostModel.load(tmp_path / "text")


def test_nothing_can_be_learned_from_failures() -> None:
    data = made_up(10)
    data.ms[:] = np.inf
    with pytest.raises(LogError, match="no measurement in the log succeeded"):
        CostModel.fit(data)
