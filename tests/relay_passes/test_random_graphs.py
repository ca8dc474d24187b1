"""Random Relay graphs: FuseOps stays inside our rules, and whatever is decided becomes a valid module."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from tvm import relay

from relay_passes import extract
from relay_passes.apply import apply
from relay_passes.common_subexpressions import has_common_subexpressions
from relay_passes.fuse_ops import default_partition
from relay_passes.library import build_module
from relay_passes.numerics import compare
from relay_passes.prepare import prefix_passes, prepare
from relay_passes.targets import as_target, build_scopes
from tests.relay_passes.random_relay import modules
from tests.relay_passes.test_partition import outputs, primitive_members
from tvm_go import Decisions
from tvm_go.errors import UnsupportedModelError
from tvm_go.legalize import check_partition, encode, legalize
from tvm_go.rules import rule_set

TARGET = "llvm -mcpu=core-avx2"
# Examples are typed by TVM while they are drawn.
slow_to_draw = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def prepare_or_keep(mod: tvm.IRModule, prepared: bool) -> tvm.IRModule:
    try:
        return prepare(mod, target=TARGET) if prepared else mod
    except UnsupportedModelError:  # TVM's SimplifyExpr loses a variable over some sums of a value with itself
        return reject()


@given(modules(), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=slow_to_draw)
def test_fuse_ops_stays_inside_the_rules(mod: tvm.IRModule, prepared: bool) -> None:
    mod = prepare_or_keep(mod, prepared)
    graph = extract(mod)
    kernel = default_partition(mod, target=TARGET)
    check_partition(graph, kernel, rule_set("tvm"))
    assert np.array_equal(legalize(graph, encode(graph, kernel), rule_set("tvm")), kernel)


@given(modules(), st.integers(0, 2**32 - 1), st.sampled_from(["tvm", "wide"]))
@settings(max_examples=150, deadline=None, suppress_health_check=slow_to_draw)
def test_any_decisions_become_one_primitive_function_per_kernel(mod: tvm.IRModule, seed: int, rules: str) -> None:
    graph = extract(mod)
    rng = np.random.default_rng(seed)
    plan = Decisions(rng.integers(-1, 4, size=graph.num_edges)).decode(graph, target="llvm", rules=rules)
    check_partition(graph, plan.kernel, rule_set(rules))
    groups: dict[int, list[str]] = {}
    for op in range(graph.num_ops):
        groups.setdefault(int(plan.kernel[op]), []).append(graph.name(op))
    expected = sorted(tuple(sorted(names)) for names in groups.values())
    assert primitive_members(apply(mod, plan)) == expected


@given(modules())
@settings(max_examples=40, deadline=None, suppress_health_check=slow_to_draw)
def test_prepare_gives_what_tvms_own_passes_give(mod: tvm.IRModule) -> None:
    try:
        with build_scopes(as_target(TARGET)):
            expected = tvm.transform.Sequential([*prefix_passes(), relay.transform.InferType()])(mod)
    except tvm.TVMError:
        with pytest.raises(UnsupportedModelError):
            prepare(mod, target=TARGET)
    else:
        assert tvm.ir.structural_equal(prepare(mod, target=TARGET), expected)


@given(modules())
@settings(max_examples=100, deadline=None, suppress_health_check=slow_to_draw)
def test_common_subexpressions_are_never_missed(mod: tvm.IRModule) -> None:
    mod = relay.transform.InferType()(mod)
    merged = relay.transform.EliminateCommonSubexpr()(mod)
    if not has_common_subexpressions(mod):
        assert tvm.ir.structural_equal(merged, mod)


@settings(max_examples=4, deadline=None, suppress_health_check=slow_to_draw)
@given(mod=modules(max_steps=10), seed=st.integers(0, 2**32 - 1))
def test_plans_under_fuse_ops_rules_compute_the_same(mod: tvm.IRModule, seed: int) -> None:
    graph = extract(mod)
    priority = np.random.default_rng(seed).integers(0, 3, size=graph.num_edges)
    plan = Decisions(priority).decode(graph, target=TARGET, rules="tvm")
    rng = np.random.default_rng(seed)
    inputs = {
        var.name_hint: rng.standard_normal([int(d) for d in var.checked_type.shape]).astype("float32")
        for var in mod["main"].params
    }
    expected, actual = (outputs(build_module(m, as_target(TARGET)), inputs) for m in (mod, apply(mod, plan)))
    for one, other in zip(expected, actual, strict=True):
        assert compare(other, one)[0]
