"""Extraction: the arrays of graphs that can be checked by hand, and what the structural hash depends on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relay

from relay_passes import extract
from relay_passes.dataflow import flatten
from tests.relay_passes.prepared import CI_MODELS, Prepared
from tvm_go.graph import OpGraph, Pattern, ValueKind


def typed(body: relay.Expr, params: list[relay.Var] | None = None) -> tvm.IRModule:
    params = relay.analysis.free_vars(body) if params is None else params
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(params, body)))


def op_names(graph: OpGraph) -> list[str]:
    return [graph.name(op) for op in range(graph.num_ops)]


def uses(graph: OpGraph) -> list[tuple[int, int, int, int]]:
    """Rows of reader, argument, field, value."""
    columns = (graph.use_op, graph.use_arg, graph.use_field, graph.use_value)
    return [tuple(row) for row in np.stack(columns, axis=1).tolist()]


def test_split_and_concatenate_become_edges() -> None:
    x = relay.var("x", shape=(4, 6))
    parts = relay.split(x, 3, axis=1)
    graph = extract(typed(relay.concatenate([parts[2], relay.tanh(parts[0]), parts[2]], axis=1)))
    assert op_names(graph) == ["split", "tanh", "concatenate"]
    # values: x, the three parts, tanh, the result
    assert graph.value_op.tolist() == [-1, 0, 0, 0, 1, 2]
    assert graph.value_index.tolist() == [0, 0, 1, 2, 0, 0]
    assert [graph.shape(value) for value in range(6)] == [(4, 6), (4, 2), (4, 2), (4, 2), (4, 2), (4, 6)]
    assert uses(graph) == [(0, 0, -1, 0), (1, 0, -1, 1), (2, 0, 0, 3), (2, 0, 1, 4), (2, 0, 2, 3)]
    assert graph.edge_src.tolist() == [0, 0, 1, 0]
    assert graph.edge_dst.tolist() == [1, 2, 2, 2]
    assert graph.edge_bytes.tolist() == [32, 32, 32, 32]
    assert graph.pattern.tolist() == [Pattern.INJECTIVE, Pattern.ELEMENTWISE, Pattern.INJECTIVE]
    assert graph.output_values.tolist() == [5]


def test_an_op_may_use_a_value_twice() -> None:
    x = relay.var("x", shape=(2, 3))
    y = relay.exp(x)
    graph = extract(typed(relay.add(y, y)))
    assert uses(graph) == [(0, 0, -1, 0), (1, 0, -1, 1), (1, 1, -1, 1)]
    assert graph.num_edges == 2


def test_scalars_keep_their_number_and_other_constants_do_not() -> None:
    x = relay.var("x", shape=(2, 3))
    body = relay.multiply(relay.add(x, relay.const(0.5)), relay.const(np.full((3,), 2.0, "float32")))
    body = relay.add(body, relay.const(np.float16(3.0)).astype("float32"))
    graph = extract(typed(body))
    constants = np.flatnonzero(graph.value_kind == ValueKind.CONSTANT)
    scalars = graph.value_scalar[constants]
    assert scalars[0] == 0.5
    assert np.isnan(scalars[1:]).all()  # a vector, and a scalar of a type that FuseOps does not inline
    assert np.isnan(graph.value_scalar[graph.value_kind != ValueKind.CONSTANT]).all()


def test_several_outputs_inputs_and_constants_as_outputs() -> None:
    x, y = relay.var("x", shape=(2,)), relay.var("y", shape=(3,), dtype="int8")
    two = relay.const(2.0)
    body = relay.Tuple([x, relay.exp(x), relay.Tuple([two, relay.exp(x)])])
    graph = extract(typed(body, [y, x]))
    assert graph.input_names == ("y", "x")
    assert op_names(graph) == ["exp", "exp"]
    assert graph.output_values.tolist() == [1, 2, 3, 4]
    assert [graph.value_kind[value] for value in graph.output_values] == [
        ValueKind.INPUT,
        ValueKind.OP,
        ValueKind.CONSTANT,
        ValueKind.OP,
    ]
    assert graph.value_bytes.tolist() == [3, 8, 8, 4, 8]


@pytest.mark.parametrize("body", ["input", "constant"])
def test_a_model_without_ops(body: str) -> None:
    x = relay.var("x", shape=(2, 2))
    graph = extract(typed(x if body == "input" else relay.const(1.0), [x]))
    assert (graph.num_ops, graph.num_edges, len(graph.output_values)) == (0, 0, 1)


def test_bytes_follow_type_and_shape() -> None:
    x = relay.var("x", shape=(5,), dtype="float16")
    mask = relay.greater(x, relay.const(np.float16(0)))
    graph = extract(typed(relay.Tuple([mask, relay.cast(x, "int64"), relay.cast(x, "int4")])))
    by_dtype = {graph.dtypes[graph.value_dtype[value]]: int(graph.value_bytes[value]) for value in graph.output_values}
    assert by_dtype == {"bool": 5, "int64": 40, "int4": 5}


def test_reshapes_are_free_and_patterns_are_tvms() -> None:
    x = relay.var("x", shape=(1, 4, 6, 6))
    w = relay.var("w", shape=(8, 4, 3, 3))
    y = relay.nn.conv2d(x, w, kernel_size=(3, 3), channels=8)
    y = relay.nn.softmax(relay.nn.batch_flatten(relay.reshape(relay.sum(y, axis=1), (1, 16))))
    graph = extract(typed(y))
    assert op_names(graph) == ["nn.conv2d", "sum", "reshape", "nn.batch_flatten", "nn.softmax"]
    assert graph.free.tolist() == [False, False, True, True, False]
    assert graph.pattern.tolist() == [
        Pattern.OUT_FUSABLE,
        Pattern.REDUCTION,
        Pattern.INJECTIVE,
        Pattern.INJECTIVE,
        Pattern.OUT_FUSABLE,
    ]
    assert not graph.fixed.any()


@pytest.mark.parametrize("name", CI_MODELS)
def test_ops_stand_in_the_order_of_relays_own_visitor(name: str, prepared: Callable[[str], Prepared]) -> None:
    model = prepared(name)
    expected: list[str] = []
    relay.analysis.post_order_visit(
        model.mod["main"].body,
        lambda expr: expected.append(expr.op.name) if isinstance(expr, relay.Call) else None,
    )
    assert op_names(model.graph) == expected
    assert np.all(model.graph.edge_src < model.graph.edge_dst)
    assert extract(model.mod).structural_hash == model.graph.structural_hash


def small_net(*, name: str = "x", weight: float = 1.0, scalar: float = 0.5, axis: int = -1, width: int = 8) -> str:
    x = relay.var(name, shape=(4, width))
    w = relay.const(np.full((5, width), weight, "float32"))
    return extract(typed(relay.nn.softmax(relay.nn.dense(x, w) * relay.const(scalar), axis=axis))).structural_hash


def test_structural_hash_sees_structure_only() -> None:
    assert small_net() == small_net(name="other", weight=2.0)
    different = [small_net(), small_net(scalar=0.25), small_net(axis=0), small_net(width=7)]
    assert len(set(different)) == len(different)


def test_structural_hash_is_the_same_in_another_process() -> None:
    program = "from tests.relay_passes.test_extract import small_net; print(small_net())"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.strip() == small_net()


def test_flatten_takes_any_depth() -> None:
    leaves: object = (1,)
    for _ in range(50_000):
        leaves = (leaves, 2)
    assert flatten(leaves) == [1] + [2] * 50_000  # type: ignore[arg-type]
    while isinstance(leaves, tuple):  # so that the interpreter need not take it apart in one go
        leaves = leaves[0]


@pytest.mark.parametrize(("make", "size"), [("chain", 80_000), ("wide", 20_000)])  # depth is what kills processes
def test_large_graphs_extract_and_the_process_ends_well(make: str, size: int) -> None:
    program = f"""
from benchmarks.scaling import {make}, _typed
from relay_passes import extract
from relay_passes.stack import with_deep_stack
graph = extract(with_deep_stack(_typed, {make}({size})))
print(graph.num_ops, graph.num_edges)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr
    ops, edges = map(int, run.stdout.split())
    assert abs(ops - size) < 5
    assert edges >= ops - 1 if make == "chain" else edges > ops // 2
