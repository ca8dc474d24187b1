"""Pointwise blocks of one domain are computed in one pass, and give the numbers of their ops one by one."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relay

from cost_model.kernel_inputs import input_range, random_inputs
from cost_model.lowering import lower_primitive, tensor_specs
from cost_model.reference import UnfusedOps
from relay_passes.targets import as_target, build_scopes
from tests.cost_model.kernels import parameter
from tests.relay_passes.one_kernel import kernel
from tests.relay_passes.test_schedules import assert_close, run
from tvm_go.lowering import TIR

_TARGET = as_target("llvm")
_unfused = UnfusedOps()
_SHAPE = (4, 6, 32)


def assert_right(function: relay.Function, key: str = "5" * 32) -> None:
    specs = tuple(spec for parameter in function.params for spec in tensor_specs(parameter.checked_type))
    inputs = random_inputs(specs, input_range(function), key)
    _unfused.compile_ops([function])
    assert_close(run(function, inputs, _TARGET, TIR), _unfused.outputs(function, inputs))


def lowered(function: relay.Function) -> str:
    with build_scopes(_TARGET):
        return str(lower_primitive(function, _TARGET, "kernel", TIR).script())


def roots() -> relay.Function:
    """Three outputs over one domain, and a root that two of them share; one input is broadcast."""
    x, y, z = parameter("x", *_SHAPE), parameter("y", *_SHAPE), parameter("z", 4, 1, 1)
    root = relay.sqrt(x + relay.const(1.0))
    quotient = (y + z) / root
    return kernel(relay.Tuple([quotient - relay.const(3.0), root * y, y * z]))


def test_several_outputs_take_one_pass_and_share_what_they_need() -> None:
    function = roots()
    assert_right(function)
    text = lowered(function)
    assert text.count("T.parallel(") == 1
    assert text.count("T.sqrt(") == 1
    assert "T.allocate([768]" not in text  # nothing but the outputs is stored whole


def test_an_output_that_others_read_is_stored_too() -> None:
    x = parameter("x", *_SHAPE)
    root = relay.sqrt(x)
    function = kernel(relay.Tuple([root, root / (x + relay.const(1.0)), relay.exp(root)]))
    assert_right(function)
    assert lowered(function).count("T.parallel(") == 1


@pytest.mark.parametrize(
    "between",
    [
        lambda value: relay.transpose(value, (0, 2, 1)),
        lambda value: relay.reverse(value, axis=2),
        lambda value: relay.sqrt(relay.strided_slice(value, [0, 0, 0], [4, 6, 16])),
        lambda value: relay.sum(value, axis=2, keepdims=True),
    ],
    ids=["transposed", "reversed", "sliced", "reduced"],
)
def test_what_is_read_elsewhere_than_it_was_written_stays_a_pass_of_its_own(between: object) -> None:
    x = parameter("x", *_SHAPE)
    root = relay.sqrt(x)
    assert callable(between)
    function = kernel(relay.Tuple([root / (x + relay.const(1.0)), between(root), relay.sqrt(root)]))
    assert_right(function)


def test_a_group_never_depends_on_itself_through_another_block() -> None:
    x, w = parameter("x", 8, 8), parameter("w", 8, 8)
    root = relay.sqrt(x)
    turned = relay.sqrt(relay.reshape(relay.transpose(root), (64,)) + relay.const(1.0))
    back = relay.sqrt(relay.reshape(turned, (8, 8)) + w) + root
    assert_right(kernel(relay.Tuple([back, root * w])))


def test_a_block_may_read_one_input_in_two_places() -> None:
    x, y = parameter("x", *_SHAPE), parameter("y", 6, 32)
    both = y + relay.reverse(y, axis=0)
    assert_right(kernel(relay.Tuple([x * relay.const(0.5), x + both])))


@st.composite
def pointwise(draw: st.DrawFn) -> relay.Function:
    """A random kernel of cheap, costly and broadcast ops with several outputs, some of them read inside."""
    shapes = [_SHAPE, (6, 32), (4, 1, 32), (4, 6, 1)]
    values: list[relay.Expr] = [parameter(f"x{i}", *shape) for i, shape in enumerate(shapes)]
    whole: list[relay.Expr] = []
    for _ in range(draw(st.integers(3, 14))):
        one, other = (values[draw(st.integers(0, len(values) - 1))] for _ in range(2))
        name = draw(st.sampled_from(["add", "multiply", "maximum", "divide", "sqrt", "exp", "abs", "turn"]))
        if name == "divide":
            value = one / (relay.abs(other) + relay.const(1.0))
        elif name == "sqrt":
            value = relay.sqrt(relay.abs(one) + relay.const(0.5))
        elif name == "exp":
            value = relay.exp(relay.minimum(one, relay.const(1.0)))
        elif name == "abs":
            value = relay.abs(one)
        elif name == "turn":
            value = relay.reverse(one, axis=0)
        else:
            value = getattr(relay, name)(one, other) * relay.const(0.5)
        values.append(value)
        typed = relay.transform.InferType()(tvm.IRModule.from_expr(value))["main"].ret_type
        if tuple(int(extent) for extent in typed.shape) == _SHAPE:
            whole.append(value)
    if not whole:
        whole = [values[0] + values[1]]
    chosen = draw(st.lists(st.sampled_from(range(len(whole))), min_size=1, max_size=4, unique=True))
    return kernel(relay.Tuple([whole[i] for i in chosen]))


@given(function=pointwise(), key=st.integers(0, 2**64 - 1))
@settings(max_examples=25, deadline=None)
def test_random_pointwise_kernels_keep_their_numbers(function: relay.Function, key: int) -> None:
    with np.errstate(all="ignore"):
        assert_right(function, f"{key:032x}")
