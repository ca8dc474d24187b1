"""`prepare` gives what TVM's own passes give, constants to the last bit, though some passes are ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relay

from benchmarks.scaling import chain, wide
from benchmarks.zoo import NAMES, ZooModel, load
from relay_passes.common_subexpressions import has_common_subexpressions
from relay_passes.dataflow import post_order, with_main
from relay_passes.fold_constants import fold_constants
from relay_passes.plain import NotPlainError
from relay_passes.prepare import prefix_passes, prepare, replaced
from relay_passes.simplify import simplify
from relay_passes.stack import with_deep_stack
from relay_passes.targets import as_target, build_scopes
from tests.relay_passes.prepared import CI_MODELS
from tests.relay_passes.test_extract import typed
from tvm_go.errors import UnsupportedModelError

TARGET = "llvm -mcpu=core-avx2"


def by_tvm(mod: tvm.IRModule, params: dict[str, Any] | None = None) -> tvm.IRModule:
    """TVM's prefix passes, each as it is."""

    def run() -> tvm.IRModule:
        bound = with_main(mod, relay.build_module.bind_params_by_name(mod["main"], params)) if params else mod
        with build_scopes(as_target(TARGET)):
            return tvm.transform.Sequential([*prefix_passes(), relay.transform.InferType()])(bound)

    return with_deep_stack(run)


def constants(mod: tvm.IRModule) -> list[tuple[str, tuple[int, ...], bytes]]:
    arrays = [expr.data for expr, _ in post_order(mod["main"].body) if isinstance(expr, relay.Constant)]
    return [(str(array.dtype), tuple(array.shape), array.numpy().tobytes()) for array in arrays]


def assert_same(actual: tvm.IRModule, expected: tvm.IRModule) -> None:
    assert with_deep_stack(tvm.ir.structural_equal, actual, expected)
    assert constants(actual) == constants(expected)


@pytest.mark.parametrize(
    "name",
    [*CI_MODELS, *(pytest.param(name, marks=pytest.mark.campaign) for name in NAMES if name not in CI_MODELS)],
)
def test_a_model_is_prepared_as_tvm_would(name: str) -> None:
    model = load(name)
    assert_same(prepare(model.mod, model.params, target=TARGET), by_tvm(model.mod, model.params))


@pytest.mark.parametrize("make", [chain, wide])
def test_deep_and_broad_graphs_are_prepared_as_tvm_would(make: Callable[[int], relay.Function]) -> None:
    mod = tvm.IRModule.from_expr(make(400))
    assert_same(prepare(mod, target=TARGET), by_tvm(mod))


def test_weights_may_be_bound_or_left_as_inputs() -> None:
    model: ZooModel = load("lstm")
    inputs = {var.name_hint for var in prepare(model.mod, target=TARGET)["main"].params}
    bound = {var.name_hint for var in prepare(model.mod, model.params, target=TARGET)["main"].params}
    assert inputs - bound == set(model.params)


def test_levels_and_disabled_passes_hold_for_ours_too() -> None:
    x = relay.var("x", shape=(2, 2))
    mod = typed(relay.add(x, relay.negative(relay.const(np.ones((2, 2), "float32")))))
    (step,) = [step for step in prefix_passes() if step.info.name == "FoldConstant"][:1]
    ours = tvm.transform.Sequential([replaced(step)])
    for context, folds in [
        (tvm.transform.PassContext(opt_level=3), True),
        (tvm.transform.PassContext(opt_level=1), False),
        (tvm.transform.PassContext(opt_level=1, required_pass=["FoldConstant"]), True),
        (tvm.transform.PassContext(opt_level=3, disabled_pass=["FoldConstant"]), False),
    ]:
        with context:
            after = ours(mod)
        assert ("negative" not in after["main"].astext()) == folds


def test_what_tvm_cannot_prepare_is_said_in_one_line() -> None:
    x, w = relay.var("x", shape=(1, 4, 6, 6)), relay.const(np.ones((4, 4, 3, 3), "float32"))
    convolved = relay.nn.conv2d(x, w, padding=(1, 1), channels=4, kernel_size=(3, 3))
    parts = relay.split(convolved, 2, axis=1)
    with pytest.raises(UnsupportedModelError, match="TVM's pass AlterOpLayout fails on this model") as caught:
        prepare(typed(relay.Tuple([parts[0], parts[1]])), target=TARGET)
    assert "\n" not in str(caught.value)


WEIGHT = np.random.default_rng(0).standard_normal((8, 16, 3, 3)).astype("float32")


def const(array: Any, dtype: str = "float32") -> relay.Constant:
    return relay.Constant(tvm.nd.array(np.asarray(array, dtype)))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(relay.layout_transform(const(WEIGHT), "OIHW", "OIHW4i8o"), id="blocked layout"),
        pytest.param(relay.layout_transform(const(WEIGHT), "OIHW", "HWIO"), id="reordered layout"),
        pytest.param(relay.layout_transform(const(WEIGHT), "OIHW", "OIHW3i8o"), id="padded layout"),
        pytest.param(
            relay.layout_transform(const(WEIGHT.reshape(1, 2, 4, 9, 16)), "NCHW16c", "NCHW"), id="layout back"
        ),
        pytest.param(
            relay.layout_transform(const(WEIGHT.reshape(1, 2, 4, 9, 16)), "NCHW16c", "NCHW8c"), id="layout to layout"
        ),
        pytest.param(relay.transpose(const(WEIGHT), (2, -1, 0, 1)), id="transpose"),
        pytest.param(relay.transpose(const(WEIGHT)), id="reverse axes"),
        pytest.param(relay.reshape(const(WEIGHT), (-1, 0)), id="reshape"),
        pytest.param(relay.squeeze(relay.expand_dims(const(WEIGHT), 1, 2)), id="expand and squeeze"),
        pytest.param(relay.broadcast_to(const([1, 2], "int64"), (3, 2)), id="broadcast"),
        pytest.param(relay.divide(const(WEIGHT), relay.sqrt(const(WEIGHT[:, :1] ** 2 + 1e-5))), id="arithmetic"),
        pytest.param(
            relay.subtract(const(1.5, "float64"), relay.negative(const([2.5, 1e308], "float64"))), id="double"
        ),
        pytest.param(relay.multiply(const([1e-38, 1e-45, 3e38]), const(0.3)), id="denormal and overflow"),
        pytest.param(relay.divide(const([7, -7], "int32"), const([2, 2], "int32")), id="integer division"),
        pytest.param(relay.exp(relay.tanh(const(WEIGHT))), id="left to TVM"),
        pytest.param(relay.concatenate([const(WEIGHT), relay.negative(const(WEIGHT))], 1), id="tuple argument"),
        pytest.param(relay.split(const(WEIGHT), 2, axis=1)[1], id="tuple result"),
        pytest.param(relay.TupleGetItem(relay.Tuple([const(1.0), relay.var("x", shape=(2,))]), 1), id="projection"),
        pytest.param(relay.add(relay.ones((2,), "float32"), const(1.0)), id="no arguments"),
        pytest.param(relay.Tuple([relay.nn.dropout(const(WEIGHT)), relay.copy(const(WEIGHT))]), id="not computed"),
        pytest.param(relay.transpose(const(np.zeros((0, 3)))), id="no elements"),
    ],
)
def test_folding_is_bit_identical(body: relay.Expr) -> None:
    mod = typed(body)
    assert_same(fold_constants(mod), relay.transform.FoldConstant()(mod))


def test_folding_leaves_the_rare_to_tvm() -> None:
    x = relay.var("x", shape=(2, 3))
    for body in (relay.shape_of(x), relay.If(relay.const(True), x, relay.exp(x))):
        mod = typed(body, [x])
        with pytest.raises(NotPlainError):
            fold_constants(mod)
        step = relay.transform.FoldConstant()
        assert tvm.ir.structural_equal(replaced(step)(mod), step(mod))


X, Y = relay.var("x", shape=(4, 4)), relay.var("y", shape=(4, 4))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(relay.exp(relay.reshape(relay.reshape(relay.tanh(X), (2, 8)), (16,))), id="reshapes"),
        pytest.param(relay.exp(relay.transpose(relay.transpose(relay.tanh(X)))), id="transposes"),
        pytest.param(relay.exp(relay.add(relay.tanh(X), const(0.0))), id="neutral"),
        pytest.param(relay.exp(relay.multiply(const(1.0), X)), id="nothing left"),
        pytest.param((X + const(2.0)) * const(np.full((4,), 3.0)) + const(4.0), id="constants in a row"),
        pytest.param(relay.exp(relay.cast(relay.cast(X, "float64"), "float32")), id="casts"),
        pytest.param(relay.exp(X + relay.zeros_like(Y)) * relay.ones_like(X), id="fills"),
        pytest.param(relay.divide(X, relay.sqrt(relay.tanh(Y))), id="reciprocal root"),
        pytest.param(relay.clip(relay.cast(X, "uint8"), 0, 255), id="clip"),
        pytest.param(const(2.0) * X * X + const(3.0) * (X * Y) + Y * Y, id="binomial"),
        pytest.param(relay.Tuple([relay.exp(X + const(0.0)), relay.tanh(Y - const(0.0))]), id="two parts"),
        pytest.param(relay.Tuple([(X + const(0.0)) * const(2.0), relay.tanh(X + const(0.0))]), id="several exits"),
    ],
)
@pytest.mark.parametrize("after_layout", [False, True])
def test_parts_are_simplified_as_the_whole(body: relay.Expr, after_layout: bool) -> None:
    mod = typed(body)
    name = "SimplifyExprPostAlterOp" if after_layout else "SimplifyExpr"
    (step,) = (step for step in prefix_passes() if step.info.name == name)
    expected = step(mod)
    assert_same(replaced(step)(mod), expected)
    ours = simplify(mod, step, after_layout=after_layout)
    if ours is not None:
        assert_same(ours, expected)


def test_a_sum_of_a_value_with_itself_is_left_to_tvm() -> None:
    assert simplify(typed(relay.exp(X) + relay.exp(X)), relay.transform.SimplifyExpr(), after_layout=False) is not None
    y = relay.exp(X)
    assert simplify(typed(y + y), relay.transform.SimplifyExpr(), after_layout=False) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (relay.exp(X) + relay.exp(X), True),
        (relay.exp(X) + relay.exp(Y), False),
        ((X + const(1.0)) * (X + const(1.0)), True),
        ((X + const(1.0)) * (X + const(1.5)), False),
        (relay.strided_slice(X, [0], [1]) + relay.strided_slice(X, [1], [2]), False),
        (relay.strided_slice(X, [0], [1]) + relay.strided_slice(X, [0], [1]), True),
        (relay.concatenate([relay.concatenate([X, Y], 0), relay.concatenate([X, Y], 0)], 0), True),
        (relay.concatenate([relay.concatenate([X, Y], 0), relay.concatenate([Y, X], 0)], 0), False),
    ],
)
def test_common_subexpressions_are_seen(body: relay.Expr, expected: bool) -> None:
    mod = typed(body)
    assert has_common_subexpressions(mod) == expected
    merged = relay.transform.EliminateCommonSubexpr()(mod)
    assert tvm.ir.structural_equal(mod, merged) == (not expected)
