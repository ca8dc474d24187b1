"""A plan as a pandas table: its kernels are the rows, and the columns add up to what the plan says."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.tvm_go.report.plans import plan_of
from tvm_go.errors import UsageError
from tvm_go.lowering import TE


def test_rows_are_the_kernels_with_what_the_plan_knows_of_them() -> None:
    plan = plan_of(200)
    table = plan.to_pandas()
    assert list(table.index) == list(range(plan.num_kernels))
    assert table["num_ops"].sum() == len(plan.kernel)
    assert list(table["lowering"]) == [one.kind for one in plan.lowering]
    assert set(table["device"]) == {"cpu"}
    assert plan.details is not None
    assert [text.count(" + ") + 1 for text in table["ops"]] == list(table["num_ops"])
    np.testing.assert_array_equal(table["ms"], plan.details.ms)
    assert table["flops"].sum() == pytest.approx(plan.details.graph.flops.sum())
    assert table["share"].sum() == pytest.approx(1.0)
    assert set(table.loc[table["ms"].isna(), "source"]) == {"unknown"}


def test_a_plan_without_details_has_fewer_columns() -> None:
    plan = replace(plan_of(50), details=None, lowering=())
    table = plan.to_pandas()
    assert list(table.columns) == ["num_ops", "device", "lowering", "detail"]
    assert set(table["lowering"]) == {TE.kind}


def test_devices_are_named() -> None:
    plan = replace(plan_of(50), lowering=(), target="cpu=llvm, opencl=opencl")
    device = np.arange(plan.num_kernels, dtype=np.int32) % 2
    table = replace(plan, device=device).to_pandas()
    assert list(table["device"][:3]) == ["cpu", "opencl", "cpu"]


def test_without_pandas_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pip install 'tvm-go\[pandas\]'"):
        plan_of(50).to_pandas()
