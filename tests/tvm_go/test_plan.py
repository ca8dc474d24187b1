"""Plans: what is saved comes back; what is damaged or foreign is refused with one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import synthetic
from tvm_go import Decisions, GraphPlan
from tvm_go.errors import PlanError
from tvm_go.lowering import TE, TIR, Lowering

_LOWERINGS = (TE, TIR, Lowering("tir", '{"vectors":2,"rows":[4],"unroll":1,"columns_first":true}'))


_SET = "cpu=llvm -keys=cpu, opencl=opencl -keys=opencl,gpu"


def plan_of(seed: int = 0, num_ops: int = 30, *, rules: str = "open", forms: bool = True) -> GraphPlan:
    """A random plan, with lowerings and variants unless ``forms`` is False."""
    graph = synthetic(num_ops, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    priority = rng.integers(0, 4, size=graph.num_edges)
    plan = Decisions(fusion=priority).decode(graph, target="llvm", rules=rules).with_provenance(seed=seed)
    if not forms:
        return plan
    lowering = tuple(_LOWERINGS[i] for i in rng.integers(0, len(_LOWERINGS), size=plan.num_kernels))
    return replace(plan, lowering=lowering, variants={int(op): "NT" for op in rng.permutation(num_ops)[:2]})


@given(st.integers(0, 10**6), st.integers(1, 40), st.booleans())
@settings(max_examples=50, deadline=None)
def test_json_round_trip(seed: int, num_ops: int, forms: bool) -> None:
    plan = plan_of(seed, num_ops, forms=forms)
    again = GraphPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again.to_json() == plan.to_json()
    assert again.key == plan.key
    assert np.array_equal(again.kernel, plan.kernel)
    assert again.variants == plan.variants
    assert again.lowering == (plan.lowering if any(one != TE for one in plan.lowering) else ())


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_decisions_invert_plans(seed: int, num_ops: int) -> None:
    graph = synthetic(num_ops, np.random.default_rng(seed))
    plan = Decisions(np.random.default_rng(seed).integers(0, 3, size=graph.num_edges)).decode(graph, target="llvm")
    again = Decisions.encode(graph, plan).decode(graph, target="llvm")
    assert again.key == plan.key


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_devices_round_trip_and_make_another_plan(seed: int, num_ops: int) -> None:
    alone = replace(plan_of(seed, num_ops, forms=False), target=_SET)
    device = np.random.default_rng(seed).integers(0, 2, size=alone.num_kernels).astype(np.int32)
    plan = replace(alone, device=device)
    assert plan.devices == ("cpu", "opencl")
    again = GraphPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert np.array_equal(again.device, device)
    assert again.key == plan.key
    assert (plan.key == alone.key) == (not device.any())


def test_a_plan_of_the_version_before_runs_on_one_device() -> None:
    plan = GraphPlan.from_json(json.loads(plan_text(version=2)))
    assert len(plan.device) == 0
    assert plan.devices == ("cpu",)


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
    more = (*plan.lowering, TE)
    others = [
        replace(plan, kernel=moved, lowering=more),
        replace(plan, lowering=(TIR if plan.lowering[0] != TIR else TE, *plan.lowering[1:])),
        replace(plan, variants={}),
        replace(plan, target="llvm -mcpu=core-avx2"),
    ]
    assert len({plan.key, *(other.key for other in others)}) == 5
    all_te = replace(plan, lowering=(TE,) * plan.num_kernels)
    assert all_te.key == replace(plan, lowering=()).key


def test_variants_stand_by_op_and_name_no_other_op() -> None:
    plan = replace(plan_of(), variants={1: "NT"})
    assert plan.variants_of(3) == ["default", "NT", "default"]
    with pytest.raises(PlanError, match="it names op 1 of 1"):
        plan.variants_of(1)


def test_plan_of_another_model_is_refused() -> None:
    with pytest.raises(PlanError, match=r"the plan is for model graph .* run `tvm-go tune-graph`"):
        plan_of(seed=1).check(synthetic(30, np.random.default_rng(2)))


def test_illegal_plan_is_refused_and_the_kernel_named() -> None:
    graph = synthetic(30, np.random.default_rng(0))
    everything = GraphPlan(np.zeros(30, dtype=np.int32), "wide", graph.structural_hash, "llvm")
    with pytest.raises(PlanError, match=r"kernel 0 \(.* \+ \.\.\.\) is illegal under rule set 'wide'"):
        everything.check(graph)


def plan_text(**changes: object) -> str:
    """A plan file of two kernels, with some fields changed."""
    fields: dict[str, object] = {"format": "tvm-go plan", "version": 3, "rules": "wide", "workload": "w"}
    rest: dict[str, object] = {"target": "llvm", "provenance": {}, "variants": {}, "lowering": {}, "kernel": [0, 1]}
    return json.dumps(fields | rest | changes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is no tvm-go plan"),
        ("[]", "is no tvm-go plan"),
        ('{"format": "tvm-go plan", "version": 3}', "is damaged"),
        ('{"format": "tvm-go plan", "version": 99}', "plan version 99 and this tvm-go reads 3: upgrade tvm-go"),
        (plan_text(version=1), "plan version 1 and this tvm-go reads 3: write it again with `tvm-go tune-graph`"),
        (plan_text(kernel=[0, 2]), "does not number its kernels"),
        (plan_text(lowering={"2": "tir"}), "names the lowering of a kernel that it does not have"),
        (plan_text(lowering={"1": "magic"}), "unknown lowering 'magic': there are te, tir, metaschedule"),
        (plan_text(lowering={"1": "tir {"}), "a lowering's detail is JSON"),
        (plan_text(lowering=[1]), "is damaged"),
        (plan_text(device=[0]), "gives 1 devices for 2 kernels"),
        (plan_text(device=[0, 1]), "places kernels on devices that its target set 'llvm' lacks"),
        (plan_text(device=[0, 1], target=_SET, lowering={"1": "metaschedule []"}), "a schedule for CPUs"),
        (plan_text(device=["there", "here"]), "is damaged"),
        (plan_text(variants={"first": "NN"}), "is damaged"),
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
