"""The op-by-op reference computes what the kernel means."""

from __future__ import annotations

import numpy as np
from tvm import relay

from cost_model.reference import UnfusedOps
from tests.cost_model.kernels import parameter, primitive

UNFUSED = UnfusedOps()


def outputs(function: relay.Function, *inputs: np.ndarray) -> list[np.ndarray]:
    UNFUSED.compile_ops([function])
    return UNFUSED.outputs(function, list(inputs))


def test_a_chain_with_a_shared_input_and_a_scalar() -> None:
    x = parameter("x", 4, 8)
    values = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    (result,) = outputs(primitive([x], relay.nn.relu(x * x - relay.const(0.5))), values)
    np.testing.assert_allclose(result, np.maximum(values * values - 0.5, 0), rtol=1e-6)


def test_tuples_in_and_out() -> None:
    x, y = parameter("x", 4, 6), parameter("y", 4, 6)
    joined = relay.concatenate([x, x + y], axis=1)
    left, right = relay.split(joined, 2, axis=1)
    a = np.arange(24, dtype=np.float32).reshape(4, 6)
    b = np.ones((4, 6), np.float32)
    results = outputs(primitive([x, y], relay.Tuple([right, left, relay.sum(joined)])), a, b)
    np.testing.assert_array_equal(results[0], a + b)
    np.testing.assert_array_equal(results[1], a)
    np.testing.assert_allclose(results[2], (2 * a + b).sum(), rtol=1e-6)


def test_a_tuple_that_one_op_hands_to_another() -> None:
    x = parameter("x", 4, 6)
    a = np.arange(24, dtype=np.float32).reshape(4, 6)
    (result,) = outputs(primitive([x], relay.concatenate(relay.split(x, 3, axis=1).astuple(), axis=0)), a)
    np.testing.assert_array_equal(result, np.concatenate(np.split(a, 3, axis=1), axis=0))


def test_an_op_is_compiled_once_for_all_kernels() -> None:
    x, y = parameter("x", 3, 5), parameter("y", 3, 5)
    unfused = UnfusedOps()
    unfused.compile_ops([primitive([x, y], relay.nn.relu(x + y))])
    known = dict(unfused._compiled)
    unfused.compile_ops([primitive([x, y], relay.nn.relu(x) + y)])
    assert unfused._compiled == known
    assert len(known) == 2


def test_the_same_op_with_other_attributes_is_another() -> None:
    x = parameter("x", 4, 6)
    a = np.arange(24, dtype=np.float32).reshape(4, 6)
    by_rows, by_columns = outputs(primitive([x], relay.Tuple([relay.sum(x, axis=1), relay.sum(x, axis=0)])), a)
    np.testing.assert_allclose(by_rows, a.sum(axis=1))
    np.testing.assert_allclose(by_columns, a.sum(axis=0))


def test_bfloat16_runs() -> None:
    x = parameter("x", 16, dtype="bfloat16")
    bits = np.full(16, 0x3FC0, np.uint16)  # 1.5
    (result,) = outputs(primitive([x], x + x), bits)
    np.testing.assert_array_equal(result, np.full(16, 0x4040, np.uint16))  # 3.0


def test_a_form_that_only_arm_has_is_computed_here() -> None:
    rng = np.random.default_rng(0)
    data, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 3, 9, 9), (8, 3, 3, 3)))
    x, plain, blocked = parameter("x", 1, 3, 9, 9), parameter("w", 8, 3, 3, 3), parameter("w", 8, 3, 3, 3, 1)
    attributes = {"channels": 8, "kernel_size": (3, 3), "padding": (1, 1)}
    by_arm = relay.nn.conv2d(x, blocked, **attributes, kernel_layout="OIHW1o")
    (result,) = outputs(primitive([x, blocked], by_arm), data, weight[..., None])
    (expected,) = outputs(primitive([x, plain], relay.nn.conv2d(x, plain, **attributes)), data, weight)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
