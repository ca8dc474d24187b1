"""Relay that is no static dataflow: one clear line each. What others compile stays as it is."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.contrib import graph_executor

from relay_passes import extract, prepare
from relay_passes.apply import apply
from tests.relay_passes.test_extract import op_names, typed
from tvm_go import Decisions, GraphPlan
from tvm_go.errors import UnsupportedModelError

X = relay.var("x", shape=(2, 3))


def with_if() -> tvm.IRModule:
    return typed(relay.If(relay.var("flag", shape=(), dtype="bool"), relay.exp(X), X))


def with_let() -> tvm.IRModule:
    y = relay.var("y", shape=(2, 3))
    return typed(relay.Let(y, relay.exp(X), relay.add(y, y)), [X])


def with_match() -> tvm.IRModule:
    mod = tvm.IRModule()
    _, _, nil = relay.prelude.Prelude(mod).mod.get_type("List")
    mod["main"] = relay.Function([X], relay.Match(nil(), [relay.Clause(relay.PatternWildcard(), X)]))
    return relay.transform.InferType()(mod)


def with_reference() -> tvm.IRModule:
    return typed(relay.RefRead(relay.RefCreate(relay.exp(X))))


def with_closure() -> tvm.IRModule:
    y = relay.var("y", shape=(2, 3))
    return typed(relay.Call(relay.Function([y], relay.add(y, X)), [X]), [X])


def with_function_value() -> tvm.IRModule:
    y = relay.var("y", shape=(2, 3))
    return typed(relay.Tuple([X, relay.Function([y], relay.exp(y))]), [X])


def with_dynamic_shape() -> tvm.IRModule:
    return typed(relay.exp(relay.var("x", shape=(relay.Any(), 3))))


def with_dynamic_result() -> tvm.IRModule:
    return typed(relay.argwhere(X))


def with_recursion() -> tvm.IRModule:
    mod = tvm.IRModule()
    loop = relay.GlobalVar("loop")
    y = relay.var("y", shape=(2, 3))
    mod[loop] = relay.Function([y], relay.Call(loop, [relay.exp(y)]), relay.TensorType((2, 3)))
    mod["main"] = relay.Function([X], relay.Call(loop, [X]))
    return relay.transform.InferType()(mod)


def with_tuple_input() -> tvm.IRModule:
    pair = relay.var("pair", relay.TupleType([relay.TensorType((2,)), relay.TensorType((2,))]))
    return typed(relay.add(relay.TupleGetItem(pair, 0), relay.TupleGetItem(pair, 1)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (with_if, r"control flow \(Relay `if`\).*compile it with"),
        (with_let, r"binds with Relay `let` \(run relay.transform.ToGraphNormalForm"),
        (with_match, r"control flow \(Relay `match`\)"),
        (with_reference, r"uses Relay references.*compile it with"),
        (with_closure, r"calls .*, a Relay function that is neither.*run relay.transform.Inline"),
        (with_function_value, r"passes a Relay function as a value"),
        (with_dynamic_shape, r"input 'x' has the dynamic shape .*--input-shapes"),
        (with_dynamic_result, r"argwhere has the dynamic shape .*--input-shapes"),
        (with_recursion, r"calls @loop, a Relay function that is neither.*run relay.transform.Inline"),
        (with_tuple_input, r"input 'pair' has type .*: only tensors and flat tuples of tensors are planned"),
    ],
)
def test_refused_in_one_line_with_what_to_do(make: object, words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=words) as caught:
        extract(make())  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def with_external_function() -> tvm.IRModule:
    """Main calls a function that another code generator compiles."""
    y = relay.var("y", shape=(2, 3))
    external = relay.Function([y], relay.exp(relay.tanh(y)), relay.TensorType((2, 3)))
    for key, value in {
        "Compiler": "other",
        "global_symbol": "other_0",
        "Primitive": tvm.tir.IntImm("int32", 1),
    }.items():
        external = external.with_attr(key, value)
    mod = tvm.IRModule()
    mod["other_0"] = external
    called = relay.Call(mod.get_global_var("other_0"), [relay.negative(X)])
    mod["main"] = relay.Function([X], relay.nn.relu(called))
    return relay.transform.InferType()(mod)


def unfused(mod: tvm.IRModule) -> GraphPlan:
    graph = extract(mod)
    return Decisions(np.zeros(graph.num_edges, dtype=np.int32)).decode(graph, target="llvm")


def test_external_functions_stay_as_they_are() -> None:
    mod = prepare(with_external_function(), target="llvm")
    graph = extract(mod)
    assert op_names(graph) == ["negative", "@other_0", "nn.relu"]
    assert graph.fixed.tolist() == [False, True, False]
    merged = Decisions(np.ones(graph.num_edges, dtype=np.int32)).decode(graph, target="llvm")
    assert merged.kernel.tolist() == [0, 1, 2]
    applied = apply(mod, merged)
    assert sorted(var.name_hint for var in applied.get_global_vars()) == ["main", "other_0"]
    calls = re.findall(r"@other_0\(", applied["main"].astext())
    assert len(calls) == 1
    assert tvm.ir.structural_equal(applied["other_0"], mod["other_0"])


def test_kernels_that_are_fused_already_stay_and_build() -> None:
    y, z = relay.var("y", shape=(2, 3)), relay.var("z", shape=(2, 3))
    fused = relay.Function([y, z], relay.exp(relay.add(y, z))).with_attr("Primitive", tvm.tir.IntImm("int32", 1))
    body = relay.nn.relu(relay.Call(fused, [relay.negative(X), relay.tanh(X)]))
    mod = prepare(typed(body), target="llvm")
    graph = extract(mod)
    assert sorted(op_names(graph)) == ["negative", "nn.relu", "primitive_function", "tanh"]
    assert graph.fixed.sum() == 1
    applied = apply(mod, unfused(mod))
    data = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    library = relay.build(applied, target="llvm")
    executor = graph_executor.GraphModule(library["default"](tvm.cpu()))
    executor.run(x=data)
    np.testing.assert_allclose(
        executor.get_output(0).numpy(), np.maximum(np.exp(-data + np.tanh(data)), 0), rtol=1e-5, atol=0
    )
