"""Plans: what is saved comes back; what is damaged or foreign is refused with one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import synthetic
from tvm_go import Decisions, GraphPlan
from tvm_go.errors import PlanError


def plan_of(seed: int = 0, num_ops: int = 30) -> GraphPlan:
    graph = synthetic(num_ops, np.random.default_rng(seed))
    priority = np.random.default_rng(seed).integers(0, 4, size=graph.num_edges)
    return Decisions(fusion=priority).decode(graph, target="llvm").with_provenance(seed=seed)


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_json_round_trip(seed: int, num_ops: int) -> None:
    plan = plan_of(seed, num_ops)
    again = GraphPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again.to_json() == plan.to_json()
    assert again.key == plan.key
    assert np.array_equal(again.kernel, plan.kernel)


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_decisions_invert_plans(seed: int, num_ops: int) -> None:
    graph = synthetic(num_ops, np.random.default_rng(seed))
    plan = Decisions(np.random.default_rng(seed).integers(0, 3, size=graph.num_edges)).decode(graph, target="llvm")
    again = Decisions.encode(graph, plan).decode(graph, target="llvm")
    assert again.key == plan.key


def test_save_and_load(tmp_path: Path) -> None:
    plan = plan_of()
    plan.save(tmp_path / "p.json")
    assert GraphPlan.load(tmp_path / "p.json").to_json() == plan.to_json()
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


def test_key_depends_on_what_is_decided_not_on_how_it_came_about() -> None:
    plan = plan_of()
    assert plan.with_provenance(strategy="other").key == plan.key
    moved = plan.kernel.copy()
    moved[-1] = moved.max() + 1
    assert GraphPlan(moved, plan.rules, plan.workload, plan.target).key != plan.key


def test_plan_of_another_model_is_refused() -> None:
    with pytest.raises(PlanError, match=r"the plan is for model graph .* run `tvm-go tune-graph`"):
        plan_of(seed=1).check(synthetic(30, np.random.default_rng(2)))


def test_illegal_plan_is_refused_and_the_kernel_named() -> None:
    graph = synthetic(30, np.random.default_rng(0))
    everything = GraphPlan(np.zeros(30, dtype=np.int32), "wide", graph.structural_hash, "llvm")
    with pytest.raises(PlanError, match=r"kernel 0 \(.* \+ \.\.\.\) is illegal under rule set 'wide'"):
        everything.check(graph)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is no tvm-go plan"),
        ("[]", "is no tvm-go plan"),
        ('{"format": "tvm-go plan", "version": 99}', "plan version 99 and this tvm-go reads 1: upgrade tvm-go"),
        ('{"format": "tvm-go plan", "version": 1}', "is damaged"),
        (
            '{"format": "tvm-go plan", "version": 1, "rules": "wide", "workload": "w", "target": "llvm", '
            '"provenance": {}, "kernel": [0, 2]}',
            "does not number its kernels",
        ),
    ],
)
def test_damaged_files_are_refused_with_one_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(PlanError, match=reason) as caught:
        GraphPlan.load(path)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot read the plan"):
        GraphPlan.load(tmp_path / "none.json")
    with pytest.raises(PlanError, match="choose another path"):
        plan_of().save(tmp_path / "none" / "p.json")
