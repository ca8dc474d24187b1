"""Details of a plan survive the way to JSON and back, and are refused where they are not the plan's."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.report.plans import details_of, plan_of
from tvm_go import GraphPlan
from tvm_go.errors import PlanError
from tvm_go.graph_json import packed, unpacked


@given(st.integers(0, 10**6), st.integers(1, 60), st.booleans())
@settings(max_examples=25, deadline=None)
def test_details_come_back_as_they_were(seed: int, num_ops: int, compared: bool) -> None:
    plan = plan_of(num_ops, seed=seed, compared=compared)
    again = GraphPlan.from_json(json.loads(json.dumps(plan.to_json(), allow_nan=False)))
    assert again.to_json() == plan.to_json()
    assert plan.details is not None
    assert again.details is not None
    assert again.details.graph.structural_hash == plan.workload
    np.testing.assert_array_equal(again.details.ms, plan.details.ms)
    assert (again.details.default is None) == (not compared)
    if again.details.default is not None:
        assert again.details.default.details is not None
        assert again.details.default.details.graph.structural_hash == plan.workload


def test_a_graph_that_both_plans_share_is_written_once() -> None:
    plan = plan_of(200)
    assert plan.to_json()["details"]["default"]["details"]["graph"] is None


def test_details_decide_nothing() -> None:
    plan = plan_of(40)
    assert replace(plan, details=None).key == plan.key
    assert "details" not in replace(plan, details=None).to_json()


def test_plans_without_details_are_read_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    replace(plan_of(40), details=None).save(path)
    plan = GraphPlan.load(path)
    assert plan.details is None
    assert plan._repr_html_() is None
    with pytest.raises(PlanError, match=r"give the model file with --model, or write the plan again with `tvm-go tune"):
        plan.to_html()


def test_details_of_another_graph_are_refused() -> None:
    data = plan_of(40, seed=1).to_json()
    data["details"]["graph"] = plan_of(40, seed=2).to_json()["details"]["graph"]
    with pytest.raises(PlanError, match="holds the graph of another model: write it again"):
        GraphPlan.from_json(data, "p.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("graph", {}),
        ("graph", None),
        ("origin", "<i4:AAAA"),
        ("origin", packed(np.zeros(3, dtype=np.int32))),
        ("ms", [1.0]),
        ("ms", "fast"),
        ("source", packed(np.full(40, 9, dtype=np.int8))),
        ("source", 7),
        ("default", {"format": "tvm-go plan"}),
    ],
)
def test_damaged_details_are_one_clear_line(key: str, value: object) -> None:
    data = copy.deepcopy(plan_of(40).to_json())
    data["details"][key] = value
    with pytest.raises(PlanError, match=r"p\.json .*: (write it again|upgrade)"):
        GraphPlan.from_json(data, "p.json")


def test_arrays_are_packed_without_loss() -> None:
    for array in (np.array([1, -2, 3], dtype=np.int32), np.array([0.5, np.nan]), np.array([True, False])):
        again = unpacked(packed(array))
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(again, array)


def test_details_do_not_grow_beyond_a_few_bytes_an_op() -> None:
    plan = plan_of(5000)
    size = len(json.dumps(plan.to_json()))
    assert size < 60 * 5000
    assert details_of(plan, plan.details.graph).graph.num_ops == 5000  # type: ignore[union-attr]
