"""A predictor says what is worth measuring, and learns from what is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cost_model.dataset import COLUMNS, PROBE, PROBES, dataset
from cost_model.predictor import Predictor
from cost_model.regressor import CostModel
from cost_model.structure import Structure
from tests.tuning_logs.samples import kernel
from tuning_logs import KernelRecord
from tvm_go.errors import LogError
from tvm_go.lowering import TE, TIR, Lowering

TARGET, CPU = "llvm -keys=cpu -mcpu=cascadelake -num-cores=4", "Intel(R) Xeon(R) Gold"
TUNED = Lowering("tir", '{"vectors":1}')


def add(rows: int) -> Structure:
    """An addition of two tensors."""
    values = [["float32", [rows, 64]] for _ in range(3)]
    return {"ops": [["add", "{}", 1, rows * 64.0, 0, [0, 1], 1]], "values": values, "outputs": [2]}


def records(count: int = 150, slower: float = 1.0) -> list[KernelRecord]:
    """Additions that take as long as they are large, by TIR twice as long; and what the device can do."""
    found = [
        kernel(
            key=f"{rows:032x}", target=TARGET, lowering=lowering, structure=add(rows), median_ms=slower * rows * factor
        )
        for rows in range(1, count)
        for lowering, factor in (("te", 0.001), ("tir", 0.002))
    ]
    probes = [
        kernel(key=f"{number:0>32}", target=TARGET, model=PROBE + name, median_ms=0.1 * (number + 1))
        for number, name in enumerate(PROBES)
    ]
    return [*found, *probes]


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel.fit(dataset(records()), rounds=80, members=2, networks=1, epochs=40)


def test_the_best_lowering_is_worth_measuring_and_tuned_ones_always_are(model: CostModel) -> None:
    predictor = Predictor(model, TARGET, CPU, records())
    guess, unpredictable = predictor.guess([add(77), add(77)], [(TE, TIR, TUNED), (TUNED,)])
    assert guess is not None
    assert guess.ms == pytest.approx(0.077, rel=0.2)
    assert 0.5 * guess.ms < guess.least_ms <= guess.ms
    assert guess.sum_ms == pytest.approx(guess.ms, rel=0.5)
    assert guess.worth == (TE, TUNED)
    assert unpredictable is None


def test_it_learns_from_measurements(model: CostModel) -> None:
    predictor = Predictor(model, TARGET, CPU, records())
    before = milliseconds(predictor)
    for record in records(slower=1.5):
        predictor.learn(record)
    assert milliseconds(predictor) > 1.2 * before


def milliseconds(predictor: Predictor) -> float:
    (guess,) = predictor.guess([add(70)], [(TE,)])
    assert guess is not None
    return guess.ms


def test_what_a_dataset_holds() -> None:
    found = records(4)
    again = [replace(found[0], median_ms=0.0005), replace(found[1], lowering=TUNED.to_text(), median_ms=0.0001)]
    older = replace(found[2], structure=None)
    failed = replace(found[3], error_kind="build_error", median_ms=float("inf"), times_ms=())
    data = dataset([*found[:2], older, failed, *found[4:], *again])
    assert len(data) == 6  # kernels 1 to 3, by two lowerings; the structure of one record serves the other
    of_first = data.take(data.keys == f"{1:032x}")
    assert sorted(of_first.ms.tolist()) == [0.0005, 0.002]
    assert np.isinf(data.ms).sum() == 1
    row = dict(zip(COLUMNS, data.rows[0].tolist(), strict=True))
    assert row["cores"] == 4
    assert row["probe_launch"] == pytest.approx(np.log2(0.1))
    elsewhere = dataset([replace(found[0], target="llvm -mcpu=other")])
    assert np.isnan(elsewhere.rows[0, COLUMNS.index("probe_launch")])
    with pytest.raises(LogError, match=r"none of 1 records.*tvm-go log collect"):
        dataset([replace(found[0], structure=None)])
