"""The loops of one op from its name, attributes and shapes: what an anchor's cost depends on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from tvm_go.layouts import Shape, axes, channels, window


@dataclass(frozen=True)
class LoopNest:
    """Extents of an op's loops; 1 where an op has no such loop.

    Attributes
    ----------
    batch : float
        Products or groups that share nothing.
    rows, columns : float
        Of a product; pixels and output channels of a convolution; outer and inner extents of any other output.
    reduce : float
        Elements that are summed up for one output, windows apart.
    window : float
        Elements of the window of a convolution or pool.
    stride, dilation, padded : float
        Product of strides and of dilations; whether the window leaves the input.
    block_in, block_out : float
        Lanes of a blocked layout.
    width : float
        Extent of the innermost axis of the output.
    read_width : float
        Extent of the innermost axis of the first argument.
    contiguous : float
        Whether the innermost axis stays innermost: of a reduction, that it is kept.
    weights_innermost : float
        Whether a product's constant lies with its outputs along the innermost axis.
    rank : float
        Axes of the output.
    parallel : float
        Extent of the outer axes that TVM's schedule of injective ops shares out among threads
        (``tvm/topi/x86/injective.py``).
    aligned : float
        The largest power of two, up to 64, that divides the width: vectors are whole if it is large.
    line : float
        Extent of the last axis of a convolution's or pool's map.
    line_tile : float
        Its largest divisor up to 31: TVM's schedules of convolutions tile by it.
    """

    batch: float = 1.0
    rows: float = 1.0
    columns: float = 1.0
    reduce: float = 1.0
    window: float = 1.0
    stride: float = 1.0
    dilation: float = 1.0
    padded: float = 0.0
    block_in: float = 1.0
    block_out: float = 1.0
    width: float = 1.0
    read_width: float = 1.0
    contiguous: float = 1.0
    weights_innermost: float = 0.0
    rank: float = 0.0
    parallel: float = 1.0
    aligned: float = 1.0
    line: float = 1.0
    line_tile: float = 1.0

    def row(self) -> tuple[float, ...]:
        """All extents in the order of their names."""
        return astuple(self)


LOOP_NAMES = tuple(field.name for field in fields(LoopNest))


def loop_nest(name: str, attrs: str, inputs: Sequence[Shape], output: Shape) -> LoopNest:
    """The loops of one op.

    Parameters
    ----------
    name, attrs : str
        Operator and the JSON of its attributes.
    inputs : sequence of shape
    output : shape
        Of output 0.
    """
    values: dict[str, Any] = json.loads(attrs)
    first = inputs[0] if inputs else ()
    width = int(_last(output))
    common = {
        "width": float(width),
        "read_width": _last(first),
        "rank": float(len(output)),
        "parallel": _size(output[: 3 if len(output) > 4 else 2 if len(output) > 2 else 1]),
        "aligned": float(min(width & -width, 64)),
    }
    if "data_layout" in values and "conv" in name:
        return LoopNest(**common, **_convolution(values, inputs, output))
    if "pool" in name:
        layout = values.get("layout", "")
        pooled = values.get("pool_size") or [_size(first) / max(_size(output), 1)]
        padding = values.get("padding") or []
        return LoopNest(
            **common,
            rows=_size(output) / _last(output),
            columns=_last(output),
            window=math.prod(pooled),
            stride=math.prod(values.get("strides") or [1]),
            padded=float(any(padding)),
            block_out=_block(layout, output),
            **_line(layout, output),
        )
    if "dense" in name or "matmul" in name:
        return LoopNest(**common, **_product(name, values, inputs, output))
    if name in _REDUCTIONS or name in ("nn.softmax", "nn.log_softmax"):
        summed = _summed(values, len(first))
        reduced = math.prod(first[axis] for axis in summed)
        return LoopNest(
            **common,
            rows=_size(first) / max(reduced, 1),
            columns=_size(first[max(summed, default=0) + 1 :]),
            reduce=reduced,
            contiguous=float(len(first) - 1 not in summed),
        )
    moved = {"contiguous": float(_last(first) == _last(output))}
    if name == "transpose":
        order = values.get("axes") or list(range(len(first)))[::-1]
        moved = {"contiguous": float(bool(order) and order[-1] in (-1, len(order) - 1))}
    return LoopNest(**common, **moved, rows=_size(output) / _last(output), columns=_last(output))


def _convolution(values: dict[str, Any], inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
    layout, out_layout = values["data_layout"], values.get("out_layout") or values["data_layout"]
    groups = values.get("groups") or 1
    taken, made = channels(layout, inputs[0]), channels(out_layout, output)
    return {
        "batch": float(groups),
        "rows": _size(output) / max(made, 1),
        "columns": made / groups,
        "reduce": taken / groups,
        "window": float(math.prod(window(values, inputs[1]))),
        "stride": float(math.prod(values.get("strides") or [1])),
        "dilation": float(math.prod(values.get("dilation") or [1])),
        "padded": float(any(values.get("padding") or [])),
        "block_in": _block(layout, inputs[0]),
        "block_out": _block(out_layout, output),
        "weights_innermost": float(axes(values["kernel_layout"])[-1] in "oO"),
        **_line(out_layout, output),
    }


def _product(name: str, values: dict[str, Any], inputs: Sequence[Shape], output: Shape) -> dict[str, float]:
    batch = math.prod(output[:-2]) if "batch" in name else 1
    transposed = bool(values.get("transpose_b", "batch" not in name))
    first = inputs[0]
    return {
        "batch": float(batch),
        "rows": _size(output) / max(batch * _last(output), 1),
        "columns": _last(output),
        "reduce": float(first[-2] if values.get("transpose_a") and len(first) > 1 else _last(first)),
        "block_out": _last(inputs[1]) if "pack" in name and len(inputs) > 1 else 1.0,
        "weights_innermost": float(not transposed or "pack" in name),
    }


def _summed(values: dict[str, Any], count: int) -> list[int]:
    given = values.get("axis")
    named = list(range(count)) if given is None or given == [] else given if isinstance(given, list) else [given]
    named = [axis % count for axis in named] if count else []
    return [axis for axis in range(count) if axis not in named] if values.get("exclude") else named


def _line(layout: str, output: Shape) -> dict[str, float]:
    letters = axes(layout)
    width = int(output[letters.index("W")]) if "W" in letters and len(letters) == len(output) else 1
    tile = max((length for length in range(1, 32) if width % length == 0), default=1)
    return {"line": float(width), "line_tile": float(tile)}


def _block(layout: str, shape: Shape) -> float:
    letters = axes(layout)
    return _last(shape) if letters and letters[-1].islower() else 1.0


def _size(shape: Sequence[int]) -> float:
    return float(math.prod(shape))


def _last(shape: Sequence[int]) -> float:
    return float(max(shape[-1], 1)) if shape else 1.0


_REDUCTIONS = {"sum", "mean", "max", "min", "prod", "all", "any", "argmax", "argmin", "variance"}
