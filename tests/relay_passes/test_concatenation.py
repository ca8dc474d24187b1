"""Concatenations are computations that a schedule takes: with what is before and after them, for any axis and dtype."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import relay

from cost_model.kernel_inputs import Array
from relay_passes.lowering import computation_of
from relay_passes.schedules import normalized
from relay_passes.targets import as_target, build_scopes
from tests.cost_model.kernels import parameter, primitive
from tests.relay_passes.test_schedules import TARGETS, cpu_flags, run
from tvm_go.lowering import TIR

#: The best that this CPU runs.
TARGET = as_target(next(target for target, needed in reversed(TARGETS.items()) if needed <= cpu_flags()))
DTYPES = ["float32", "float32", "float16", "float64", "int8", "uint8", "int64", "bool"]
SIDES = st.sampled_from([1, 2, 3, 5, 8, 16])


def result(inputs: list[Array], make: Callable[[list[relay.Expr]], relay.Expr]) -> Array:
    """What a kernel of some inputs gives when our schedule lowers it."""
    parameters = [parameter(f"x{i}", *array.shape, dtype=array.dtype.name) for i, array in enumerate(inputs)]
    (output,) = run(primitive(parameters, make(parameters)), inputs, TARGET, TIR)
    return output


def random(*shape: int, dtype: str = "float32") -> npt.NDArray[np.generic]:
    return (5 * np.random.default_rng(sum(shape)).standard_normal(shape)).astype(dtype)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_axis_dtype_and_number_of_parts(data: st.DataObject) -> None:
    rest = data.draw(st.lists(SIDES, max_size=3))
    axis = data.draw(st.integers(-len(rest) - 1, len(rest)))
    place, dtype = axis % (len(rest) + 1), data.draw(st.sampled_from(DTYPES))
    extents = data.draw(st.lists(SIDES, min_size=1, max_size=7))
    parts = [random(*rest[:place], extent, *rest[place:], dtype=dtype) for extent in extents]
    order = data.draw(st.lists(st.integers(0, len(parts) - 1), min_size=1, max_size=9))
    order += [number for number in range(len(parts)) if number not in order]
    actual = result(parts, lambda x: relay.concatenate([x[number] for number in order], axis))
    np.testing.assert_array_equal(actual, np.concatenate([parts[number] for number in order], axis))


def test_one_kernel_with_relu_and_a_layout_that_cuts_across_the_parts() -> None:
    x, y = random(1, 8, 7, 7), random(1, 4, 7, 7)

    def make(inputs: list[relay.Expr]) -> relay.Expr:
        joined = relay.concatenate([relay.nn.relu(inputs[0]), inputs[1], inputs[0]], 1)
        return relay.negative(relay.layout_transform(joined, "NCHW", "NCHW10c"))

    joined = np.concatenate([np.maximum(x, 0), y, x], 1)
    expected = -joined.reshape(1, 2, 10, 7, 7).transpose(0, 1, 3, 4, 2)
    np.testing.assert_array_equal(result([x, y], make), expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_reductions_before_and_after(axis: int) -> None:
    x, y = random(4, 17), random(4, 17)

    def make(inputs: list[relay.Expr]) -> relay.Expr:
        scaled = [x / relay.sum(relay.exp(x), axis=1, keepdims=True) for x in inputs]
        return relay.nn.softmax(relay.concatenate(scaled, axis))

    joined = np.exp(np.concatenate([one / np.exp(one).sum(1, keepdims=True) for one in (x, y)], axis))
    np.testing.assert_allclose(result([x, y], make), joined / joined.sum(1, keepdims=True), rtol=1e-5)


def test_a_concatenation_of_concatenations() -> None:
    x, y = random(3, 4), random(3, 8)

    def make(inputs: list[relay.Expr]) -> relay.Expr:
        joined = relay.concatenate(inputs, 1)
        return relay.concatenate([joined, relay.negative(joined), joined], 0)

    joined = np.concatenate([x, y], 1)
    np.testing.assert_array_equal(result([x, y], make), np.concatenate([joined, -joined, joined], 0))


def test_what_is_before_and_after_becomes_one_loop_nest() -> None:
    x, y = parameter("x", 1, 16, 8, 8), parameter("y", 1, 16, 8, 8)
    body = relay.layout_transform(relay.nn.relu(relay.concatenate([relay.tanh(x), y], 1)), "NCHW", "NCHW8c")
    with build_scopes(TARGET):
        computation = computation_of(primitive([x, y], body), TARGET)
    assert blocks(normalized(computation)) == ["T_layout_trans"]


def blocks(func: tvm.tir.PrimFunc) -> list[str]:
    found: list[str] = []
    tvm.tir.stmt_functor.post_order_visit(
        func.body, lambda node: found.append(node.name_hint) if isinstance(node, tvm.tir.Block) else None
    )
    return [name for name in found if name != "root"]
