"""Transcendental functions of float32 as polynomials, which LLVM turns into vectors; libm's are called one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tvm
from tvm import tir

_MAX_EXPONENT, _MIN_EXPONENT = 88.7228317, -86.9  # beyond these exp is infinite, or almost too small for float32
_ERF_END, _TANH_END = 3.832506856900711, 9.0  # beyond these float32 knows only +-1


def with_vector_math(func: tir.PrimFunc) -> tir.PrimFunc:
    """Replace calls of exp, tanh, erf, sigmoid and powers on float32.

    Errors stay within a few units in the last place (measured in the tests); infinities and NaN are as before, and
    results below 2e-38 become 0.
    """
    constants = _scalar_constants(func)

    def replace(node: tir.PrimExpr) -> tir.PrimExpr | None:
        ours = _FUNCTIONS.get(node.op.name) if isinstance(node.op, tvm.ir.Op) else None
        if ours is None or node.dtype != "float32":
            return None
        known = (
            constants.get(value.buffer, value) if isinstance(value, tir.BufferLoad) else value for value in node.args
        )
        return ours(*known)

    return func.with_body(tir.stmt_functor.ir_transform(func.body, None, replace, ["tir.Call"]))


def _scalar_constants(func: tir.PrimFunc) -> dict[tir.Buffer, tir.FloatImm]:
    """Buffers of one element to which a block stores a number: how constants of a kernel come."""
    found: dict[tir.Buffer, tir.FloatImm] = {}

    def visit(node: object) -> None:
        if isinstance(node, tir.BufferStore) and not node.buffer.shape and isinstance(node.value, tir.FloatImm):
            found[node.buffer] = node.value

    tir.stmt_functor.post_order_visit(func.body, visit)
    return found


def exp(x: tir.PrimExpr) -> tir.PrimExpr:
    """Cephes `expf`: a power of two times a polynomial on [-ln 2 / 2, ln 2 / 2]."""
    kept = tir.Min(_f32(_MAX_EXPONENT), tir.Max(_f32(_MIN_EXPONENT), x))  # in this order NaN passes
    power = tir.floor(kept * _f32(1.44269504088896341) + _f32(0.5))
    rest = kept - power * _f32(0.693359375) - power * _f32(-2.12194440e-4)
    coefficients = (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    )
    value = _polynomial(rest, coefficients) * rest * rest + rest + _f32(1.0)
    half_scale = tir.reinterpret("float32", tir.Cast("int32", power + _f32(126.0)) << 23)  # 2**128 has no float32
    near = value * half_scale * _f32(2.0)
    above = tir.Select(x > _f32(_MAX_EXPONENT), _f32(float("inf")), near)
    return tir.Select(x < _f32(_MIN_EXPONENT), _f32(0.0), above)


def sigmoid(x: tir.PrimExpr) -> tir.PrimExpr:
    """``1 / (1 + exp(-x))``."""
    return _f32(1.0) / (_f32(1.0) + exp(_f32(0.0) - x))


def erf(x: tir.PrimExpr) -> tir.PrimExpr:
    """A quotient of polynomials (the coefficients of Eigen's and XLA's `erf`)."""
    kept = tir.Min(_f32(_ERF_END), tir.Max(_f32(-_ERF_END), x))
    above = (
        -2.72614225801306e-10,
        2.77068142495902e-08,
        -2.10102402082508e-06,
        -5.69250639462346e-05,
        -7.34990630326855e-04,
        -2.95459980854025e-03,
        -1.60960333262415e-02,
    )
    below = (
        -1.45660718464996e-05,
        -2.13374055278905e-04,
        -1.68282697438203e-03,
        -7.37332916720468e-03,
        -1.42647390514189e-02,
    )
    square = kept * kept
    return _bounded(kept * _polynomial(square, above) / _polynomial(square, below))


def tanh(x: tir.PrimExpr) -> tir.PrimExpr:
    """A quotient of polynomials (the coefficients of Eigen's `tanh`)."""
    kept = tir.Min(_f32(_TANH_END), tir.Max(_f32(-_TANH_END), x))
    above = (
        -2.76076847742355e-16,
        2.00018790482477e-13,
        -8.60467152213735e-11,
        5.12229709037114e-08,
        1.48572235717979e-05,
        6.37261928875436e-04,
        4.89352455891786e-03,
    )
    below = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
    square = kept * kept
    return _bounded(kept * _polynomial(square, above) / _polynomial(square, below))


def power(x: tir.PrimExpr, exponent: tir.PrimExpr) -> tir.PrimExpr | None:
    """Products and square roots for exponents that are small multiples of a quarter; None for all others."""
    if not isinstance(exponent, tir.FloatImm):
        return None
    quarters = 4.0 * exponent.value
    if quarters not in range(1, 17):
        return None
    root = tir.sqrt(x)
    factors = [x] * int(quarters // 4) + [root] * (quarters % 4 >= 2) + [tir.sqrt(root)] * int(quarters % 2)
    value = factors[0]
    for factor in factors[1:]:
        value = value * factor
    return value


_FUNCTIONS: dict[str, Callable[..., tir.PrimExpr | None]] = {
    "tir.exp": exp,
    "tir.sigmoid": sigmoid,
    "tir.erf": erf,
    "tir.tanh": tanh,
    "tir.pow": power,
}


def _bounded(value: tir.PrimExpr) -> tir.PrimExpr:
    """Rounding must not carry a value beyond 1; in this order NaN passes."""
    return tir.Min(_f32(1.0), tir.Max(_f32(-1.0), value))


def _polynomial(x: tir.PrimExpr, coefficients: Sequence[float]) -> tir.PrimExpr:
    """Horner's scheme, the highest power first."""
    value = _f32(coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + _f32(coefficient)
    return value


def _f32(value: float) -> tir.FloatImm:
    return tir.FloatImm("float32", value)
