"""A log as pandas tables: one row for each record of a kind, failures too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tuning_logs import samples
from tuning_logs import TuningLog
from tvm_go.errors import UsageError


@pytest.fixture
def log(tmp_path: Path) -> TuningLog:
    log = TuningLog(tmp_path / "log.jsonl")
    for record in (samples.kernel(), samples.plan(), samples.failure(), samples.plan(plan_ms=float("inf"))):
        log.append(record)
    return log


def test_kernels_are_rows_with_the_fields_of_their_records(log: TuningLog) -> None:
    table = log.to_pandas()
    assert list(table["median_ms"]) == [1.25, np.inf]
    assert list(table["succeeded"]) == [True, False]
    assert table["error_kind"][1] == "run_timeout"
    assert table["created"][0].year == 2024
    assert "structure" not in table


def test_plans_are_rows_with_their_speed_up(log: TuningLog) -> None:
    table = log.to_pandas("plan")
    assert list(table["model"]) == ["squeezenet"] * 2
    assert table["speedup"][0] == pytest.approx(14.4 / 12.8)
    assert np.isnan(table["speedup"][1])
    assert "plan" not in table


def test_an_empty_log_has_the_same_columns(tmp_path: Path, log: TuningLog) -> None:
    empty = TuningLog(tmp_path / "none.jsonl")
    for kind in ("kernel", "plan"):
        assert list(empty.to_pandas(kind).columns) == list(log.to_pandas(kind).columns)
        assert empty.to_pandas(kind).empty


def test_an_unknown_kind_is_refused(log: TuningLog) -> None:
    with pytest.raises(UsageError, match=r"'device'.*kernel, plan"):
        log.to_pandas("device")
