"""Values of constant calls, where every right implementation gives the same bits: moved data and single roundings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tvm import relay

Array: TypeAlias = NDArray[Any]

# IEEE 754 defines these to the last bit; integers are left out for what overflow and division by zero may do.
_ROUNDED_ONCE: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "negative": np.negative,
    "sqrt": np.sqrt,
}
_FLOATS = {"float32", "float64"}
_MOVABLE = {*_FLOATS, "float16", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


def constant_value(name: str, attrs: Any, arguments: list[relay.Expr], result: relay.Type) -> Array | None:
    """Evaluate one call of an operator on constants.

    Parameters
    ----------
    name : str
        Operator.
    attrs : tvm.ir.Attrs or None
    arguments : list of relay.Constant or relay.Tuple
    result : relay.Type
        Type of the call.

    Returns
    -------
    array or None
        None where the bits may depend on the compiler, or the operator is none that models often apply to weights.
    """
    if not isinstance(result, relay.TensorType) or not all(isinstance(part, relay.Constant) for part in arguments):
        return None
    dtypes = {str(part.data.dtype) for part in arguments} | {str(result.dtype)}
    if len(dtypes) != 1:
        return None
    if name in _ROUNDED_ONCE and dtypes <= _FLOATS:
        with np.errstate(all="ignore"):
            value: Array | None = _ROUNDED_ONCE[name](*(part.data.numpy() for part in arguments))
    elif name in _MOVES and dtypes <= _MOVABLE and len(arguments) == 1:
        value = _MOVES[name](arguments[0].data.numpy(), attrs, tuple(int(extent) for extent in result.shape))
    else:
        return None
    return None if value is None else np.ascontiguousarray(value).reshape([int(extent) for extent in result.shape])


def _reshape(data: Array, attrs: Any, shape: tuple[int, ...]) -> Array:
    return data.reshape(shape)


def _transpose(data: Array, attrs: Any, shape: tuple[int, ...]) -> Array:
    return data.transpose(None if attrs.axes is None else [int(axis) for axis in attrs.axes])


def _layout_transform(data: Array, attrs: Any, shape: tuple[int, ...]) -> Array | None:
    """Split and reorder axes; None where TVM would pad, or both layouts have split axes."""
    source, target = (_parse_layout(str(layout)) for layout in (attrs.src_layout, attrs.dst_layout))
    if source is None or target is None:
        return None
    if all(factor == 0 for _, factor in source):
        return _split_axes(data, "".join(axis for axis, _ in source), target)
    if all(factor == 0 for _, factor in target):
        return _join_axes(data, source, "".join(axis for axis, _ in target))
    return None


def _split_axes(data: Array, source: str, target: list[tuple[str, int]]) -> Array | None:
    """E.g. from OIHW to OIHW8i16o: each axis becomes outer and inner, then they are put in order."""
    factors = {axis.upper(): factor for axis, factor in target if factor}
    if sorted(axis for axis, factor in target if not factor) != sorted(source) or not set(factors) <= set(source):
        return None
    extents: list[int] = []
    places: dict[str, int] = {}
    for axis, extent in zip(source, data.shape, strict=True):
        factor = factors.get(axis, 1)
        if extent % factor:
            return None
        places[axis], places[axis.lower()] = len(extents), len(extents) + 1
        extents += [extent // factor, factor]
    order = [places[axis] for axis, _ in target]
    left_out = [place for place in range(len(extents)) if place not in order]  # inner axes of extent 1
    return data.reshape(extents).transpose(order + left_out)


def _join_axes(data: Array, source: list[tuple[str, int]], target: str) -> Array | None:
    """E.g. from NCHW8c to NCHW: inner axes go behind their outer ones."""
    places = {axis: place for place, (axis, _) in enumerate(source)}
    if sorted(axis for axis, factor in source if not factor) != sorted(target):
        return None
    if any(axis.upper() not in places for axis in places):
        return None
    order = [places[part] for axis in target for part in (axis, axis.lower()) if part in places]
    return data.transpose(order)


def _parse_layout(text: str) -> list[tuple[str, int]] | None:
    """Axes of a TVM layout with their factors, 0 for whole axes: ``OIHW8o`` is O0 I0 H0 W0 o8; None if one repeats."""
    axes = [(whole or split, int(factor or 0)) for whole, factor, split in re.findall(r"([A-Z])|(\d+)([a-z])", text)]
    return axes if len({axis for axis, _ in axes}) == len(axes) else None


_MOVES: dict[str, Callable[[Array, Any, tuple[int, ...]], Array | None]] = {
    "reshape": _reshape,
    "expand_dims": _reshape,
    "squeeze": _reshape,
    "nn.batch_flatten": _reshape,
    "broadcast_to": lambda data, attrs, shape: np.broadcast_to(data, shape),
    "transpose": _transpose,
    "layout_transform": _layout_transform,
}
