"""The polynomials in the place of libm: close to the true values everywhere, infinities and NaN as they should be."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te, tir

from relay_passes.schedules import with_vector_math

Array = npt.NDArray[np.float32]
_LENGTH = 1 << 16

#: What each function is in float64, and how many units in the last place of float32 ours may be away from it.
TRUE: dict[str, tuple[Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], float]] = {
    "exp": (np.exp, 2.0),
    "tanh": (np.tanh, 6.0),
    "erf": (np.vectorize(math.erf, otypes=[np.float64]), 8.0),
    "sigmoid": (lambda x: np.where(x > 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))),
                4.0),
}  # fmt: skip
_FEW_ULP = 3e-7  # of a result near 1
_SMALLEST = 2e-38  # what is smaller may become 0


@functools.cache
def library(name: str) -> tvm.runtime.Module:
    x = te.placeholder((_LENGTH,), name="x")
    func = te.create_prim_func([x, te.compute(x.shape, lambda i: getattr(tir, name)(x[i]), name="y")])
    replaced = with_vector_math(func)
    assert f"T.{name}(" not in replaced.script()
    return tvm.build(replaced, target="llvm -mcpu=core-avx2")


def ours(name: str, values: Array) -> Array:
    """Our function of at most ``_LENGTH`` numbers."""
    padded = np.zeros(_LENGTH, dtype=np.float32)
    padded[: len(values)] = values
    result = tvm.nd.empty((_LENGTH,), "float32")
    library(name)(tvm.nd.array(padded), result)
    return np.asarray(result.numpy()[: len(values)])


def error_ulp(name: str, values: Array) -> npt.NDArray[np.float64]:
    """How far ours is from the truth, in units in the last place of the truth as float32."""
    with np.errstate(over="ignore", under="ignore"):
        exact = TRUE[name][0](values.astype(np.float64))
        rounded = exact.astype(np.float32)
    found = ours(name, values).astype(np.float64)
    both_infinite = np.isinf(rounded) & (found == rounded)
    tiny = (np.abs(exact) < _SMALLEST) & (np.abs(found) < _SMALLEST)
    with np.errstate(invalid="ignore"):
        unit = np.spacing(np.maximum(np.abs(rounded), np.float32(_SMALLEST))).astype(np.float64)
        return np.where(both_infinite | tiny, 0.0, np.abs(found - exact) / unit)


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("reach", [1e-3, 1.0, 10.0, 88.0])
def test_errors_are_a_few_units_in_the_last_place(name: str, reach: float) -> None:
    values = np.linspace(-reach, reach, _LENGTH, dtype=np.float32)
    errors = error_ulp(name, values)
    worst = int(np.argmax(errors))
    assert errors[worst] <= TRUE[name][1], f"{name}({values[worst]!r}) is {errors[worst]:.1f} units away"


@pytest.mark.parametrize("name", TRUE)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_number_is_far_off(name: str, numbers: list[float]) -> None:
    values = np.array(numbers, dtype=np.float32)
    errors = error_ulp(name, values)
    worst = int(np.argmax(errors))
    assert errors[worst] <= TRUE[name][1], f"{name}({values[worst]!r}) is {errors[worst]:.1f} units away"


@pytest.mark.parametrize(
    ("name", "at_minus_infinity", "at_zero", "at_infinity"),
    [("exp", 0.0, 1.0, math.inf), ("tanh", -1.0, 0.0, 1.0), ("erf", -1.0, 0.0, 1.0), ("sigmoid", 0.0, 0.5, 1.0)],
)
def test_infinities_zero_and_nan(name: str, at_minus_infinity: float, at_zero: float, at_infinity: float) -> None:
    values = np.array([-math.inf, 0.0, -0.0, math.inf, math.nan, -math.nan], dtype=np.float32)
    found = ours(name, values)
    assert found[:4].tolist() == pytest.approx([at_minus_infinity, at_zero, at_zero, at_infinity], abs=_FEW_ULP)
    assert np.isnan(found[4:]).all()


@pytest.mark.parametrize("name", ["tanh", "erf", "sigmoid"])
def test_bounded_functions_stay_within_their_bounds_but_for_rounding(name: str) -> None:
    values = np.concatenate([np.linspace(-100, 100, 30_000), np.linspace(-5, 5, 30_000)]).astype(np.float32)
    found = ours(name, values)
    low = 0.0 if name == "sigmoid" else -1.0
    assert low - _FEW_ULP <= found.min()
    assert found.max() <= 1.0 + _FEW_ULP


def powers(exponent: float, dtype: str = "float32") -> tir.PrimFunc:
    x = te.placeholder((8,), name="x", dtype=dtype)
    return te.create_prim_func([x, te.compute(x.shape, lambda i: tir.power(x[i], tir.const(exponent, dtype)))])


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0, 4.0, 0.25, 0.5, 0.75, 1.5])
def test_small_powers_become_products(exponent: float) -> None:
    replaced = with_vector_math(powers(exponent))
    assert "T.pow" not in replaced.script()
    values = np.array([-3.0, -1.5, -0.0, 0.0, 0.5, 2.0, math.inf, math.nan], dtype=np.float32)
    result = tvm.nd.empty((8,), "float32")
    tvm.build(replaced, target="llvm")(tvm.nd.array(values), result)
    np.testing.assert_allclose(result.numpy(), values**exponent, rtol=1e-6)


def test_what_has_no_replacement_is_left_alone() -> None:
    for func in (powers(0.3), powers(5.0), powers(-0.5), powers(2.0, "float64")):
        assert tvm.ir.structural_equal(with_vector_math(func), func)
    x = te.placeholder((8,), name="x", dtype="float64")
    double = te.create_prim_func([x, te.compute(x.shape, lambda i: tir.exp(x[i]))])
    assert tvm.ir.structural_equal(with_vector_math(double), double)
