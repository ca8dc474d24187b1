"""FuseOps' partition, encoded, legalised and applied, gives what `relay.build` makes: the same kernels and numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

from benchmarks.zoo import NAMES, input_values
from relay_passes.apply import apply
from relay_passes.library import build_module, kernel_names
from relay_passes.numerics import compare
from relay_passes.stack import with_deep_stack
from relay_passes.targets import build_scopes
from tests.relay_passes.prepared import CI_MODELS, Prepared
from tvm_go import Decisions, GraphPlan
from tvm_go.kernels import free_kernels
from tvm_go.legalize import check_partition, encode, legalize
from tvm_go.rules import rule_set

EVERY_MODEL = [
    *(pytest.param(name, id=name) for name in CI_MODELS),
    *(pytest.param(name, id=name, marks=pytest.mark.campaign) for name in NAMES if name not in CI_MODELS),
]


def default_plan(model: Prepared) -> GraphPlan:
    return GraphPlan(model.default, "tvm", model.graph.structural_hash, str(model.target))


def kernel_calls(factory: Any) -> list[tuple[str, list[int]]]:
    """Name of every kernel that a graph executor calls, in order, and the calls that it reads from.

    FuseOps hands whole tuples to a kernel that reads one field, and ours the field: so fields are not compared.
    """
    nodes = json.loads(factory.get_graph_json())["nodes"]
    calls = {number: node for number, node in enumerate(nodes) if node["op"] == "tvm_op"}
    position = {number: i for i, number in enumerate(calls)}
    return [
        (node["attrs"]["func_name"], sorted({position.get(source, -1) for source, _, _ in node["inputs"]}))
        for node in calls.values()
    ]


def outputs(factory: Any, inputs: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    executor = GraphModule(factory["default"](tvm.cpu()))
    executor.run(**inputs)
    return [executor.get_output(i).numpy() for i in range(executor.get_num_outputs())]


def built_by_tvm(model: Prepared) -> Any:
    with build_scopes(model.target):
        return relay.build(model.model.mod, model.target, params=model.model.params)


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_default_plan_builds_what_relay_build_makes(name: str, prepared: Callable[[str], Prepared]) -> None:
    model = prepared(name)
    plan = default_plan(model)
    plan.check(model.graph)
    assert np.array_equal(legalize(model.graph, encode(model.graph, plan.kernel), rule_set("tvm")), plan.kernel)
    assert Decisions.encode(model.graph, plan).decode(model.graph, target=plan.target, rules="tvm").key == plan.key

    default = with_deep_stack(built_by_tvm, model)
    planned = build_module(apply(model.mod, plan), model.target)
    assert kernel_calls(planned) == kernel_calls(default)
    running = int((~free_kernels(model.graph, model.default)).sum())
    assert len(kernel_names(default.get_graph_json())) == running

    inputs = input_values(model.model.mod, 0, model.model.params)
    for expected, actual in zip(outputs(default, inputs), outputs(planned, inputs), strict=True):
        same, error = compare(actual, expected)
        assert same, f"largest error {error}"


@pytest.mark.parametrize("name", CI_MODELS)
@pytest.mark.parametrize("rules", ["tvm", "wide"])
def test_random_decisions_give_one_primitive_function_per_kernel(
    name: str, rules: str, prepared: Callable[[str], Prepared]
) -> None:
    model = prepared(name)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        priority = rng.integers(0, rng.integers(2, 6), size=model.graph.num_edges)
        plan = Decisions(priority).decode(model.graph, target=str(model.target), rules=rules)
        check_partition(model.graph, plan.kernel, rule_set(rules))
        assert primitive_members(apply(model.mod, plan)) == members_by_name(model, plan)


def primitive_members(mod: tvm.IRModule) -> list[tuple[str, ...]]:
    """Sorted operator names of every primitive function that main calls; type inference has passed."""
    found: list[tuple[str, ...]] = []

    def names(function: relay.Function) -> tuple[str, ...]:
        inside: list[str] = []
        relay.analysis.post_order_visit(
            function.body, lambda expr: inside.append(expr.op.name) if isinstance(expr, relay.Call) else None
        )
        return tuple(sorted(inside))

    def visit(expr: relay.Expr) -> None:
        if isinstance(expr, relay.Function) and expr.attrs is not None and "Primitive" in expr.attrs:
            found.append(names(expr))

    relay.analysis.post_order_visit(mod["main"].body, visit)
    return sorted(found)


def members_by_name(model: Prepared, plan: GraphPlan) -> list[tuple[str, ...]]:
    computed = [op for op in range(model.graph.num_ops) if not model.graph.fixed[op]]
    groups: dict[int, list[str]] = {}
    for op in computed:
        groups.setdefault(int(plan.kernel[op]), []).append(model.graph.name(op))
    return sorted(tuple(sorted(names)) for names in groups.values())
