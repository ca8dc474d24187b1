"""Winograd's minimal filtering for 3x3 convolutions of blocked images, as one op.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016): with tiles of m x m results,
``Y = A^T [(G g G^T) * (B^T d B)] A``, summed over input channels. The operator is TVM's
``nn.contrib_conv2d_winograd_without_weight_transform``, for which TVM has no strategy on a CPU unless MetaSchedule is
enabled for the whole build, and none for blocked layouts; this module adds that one.

A transform is made along the columns of a tile, then along its rows, each by a few additions. Which sum an element is
depends on its place in the tile: a schedule that writes the loops over places out leaves nothing to choose at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relay, te, tir
from tvm.relay.op.strategy import generic, x86

OPERATOR = "nn.contrib_conv2d_winograd_without_weight_transform"
WINDOW = 3
TILES = (2, 4)
"""Sides m of the tiles of results."""
_VECTORS = (4, 8, 16)

# G of the paper by m, for the points 0, 1, -1 (and 2, -2).
_WEIGHT_SIDE: dict[int, list[list[float]]] = {
    2: [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
    4: [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
}


def transformed_weight(weight: npt.NDArray[Any], tile: int, block_in: int, block_out: int) -> npt.NDArray[Any]:
    """``G g G^T`` of each pair of channels, packed for products over blocks of channels.

    Parameters
    ----------
    weight : float [O, I, 3, 3]
    tile : int
        Side m of the tiles of results.
    block_in, block_out : int
        Input and output channels that lie side by side.

    Returns
    -------
    float [m + 2, m + 2, O / block_out, I / block_in, block_in, block_out]
        Of the weight's type.
    """
    both_sides = np.kron(_WEIGHT_SIDE[tile], _WEIGHT_SIDE[tile])  # [(m + 2)^2, 9]
    outputs, inputs = weight.shape[:2]
    blocks = weight.reshape(outputs // block_out, block_out, inputs // block_in, block_in, WINDOW * WINDOW)
    packed = blocks.transpose(4, 0, 2, 3, 1)
    points = both_sides @ packed.reshape(WINDOW * WINDOW, -1).astype(np.float64)
    return points.astype(weight.dtype).reshape(tile + 2, tile + 2, *packed.shape[1:])


def before(tile: int, d: Sequence[tir.PrimExpr]) -> list[tir.PrimExpr]:
    """``B^T d`` for a column of m + 2 values."""
    if tile == 2:
        return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
    even, odd = d[4] - 4.0 * d[2], d[3] - 4.0 * d[1]
    even_2, odd_2 = d[4] - d[2], 2.0 * (d[3] - d[1])
    first, last = 4.0 * d[0] - 5.0 * d[2] + d[4], 4.0 * d[1] - 5.0 * d[3] + d[5]
    return [first, even + odd, even - odd, even_2 + odd_2, even_2 - odd_2, last]


def after(tile: int, d: Sequence[tir.PrimExpr]) -> list[tir.PrimExpr]:
    """``A^T d`` for a column of m + 2 values."""
    if tile == 2:
        return [d[0] + d[1] + d[2], d[1] - d[2] - d[3]]
    sum_1, sum_2, difference_1, difference_2 = d[1] + d[2], d[3] + d[4], d[1] - d[2], d[3] - d[4]
    return [
        d[0] + sum_1 + sum_2,
        difference_1 + 2.0 * difference_2,
        sum_1 + 4.0 * sum_2,
        difference_1 + 8.0 * difference_2 + d[5],
    ]


def computation(data: te.Tensor, weight: te.Tensor, attrs: Any, result: relay.TensorType) -> te.Tensor:
    """The op in blocks of channels.

    Parameters
    ----------
    data : Tensor [N, I, H, W, i]
        ``NCHWc``.
    weight : Tensor [m + 2, m + 2, O, I, i, o]
        From :func:`transformed_weight`.
    attrs : Conv2DWinogradAttrs
    result : relay.TensorType
        ``NCHWc`` too, [N, O, height, width, o].
    """
    tile = int(attrs.tile_size)
    side = tile + WINDOW - 1
    batch, inputs, have_down, have_across, block = (int(extent) for extent in data.shape)
    _, outputs, height, width, lanes = (int(extent) for extent in result.shape)
    down, across = -(-height // tile), -(-width // tile)  # tiles
    top, left = ([int(extent) for extent in attrs.padding] * 2)[:2]  # one number for all sides, two, or four
    zero = tir.const(0, data.dtype)

    padded = te.compute(
        (batch, inputs, down * tile + WINDOW - 1, across * tile + WINDOW - 1, block),
        lambda n, c, h, w, i: tir.if_then_else(
            tir.all(h >= top, h < have_down + top, w >= left, w < have_across + left),
            data[n, c, h - top, w - left, i],
            zero,
        ),
        name="padded",
    )
    columns = te.compute(
        (side, side, inputs, batch, down, across, block),
        lambda r, s, c, n, y, x, i: _at(
            r, before(tile, [padded[n, c, y * tile + k, x * tile + s, i] for k in range(side)])
        ),
        name="columns",
    )
    points = te.compute(
        (side, side, inputs, batch, down, across, block),
        lambda r, s, c, n, y, x, i: _at(s, before(tile, [columns[r, k, c, n, y, x, i] for k in range(side)])),
        name="points",
    )
    c, i = te.reduce_axis((0, inputs), "c"), te.reduce_axis((0, block), "i")
    products = te.compute(
        (side, side, outputs, batch, down, across, lanes),
        lambda r, s, k, n, y, x, o: te.sum(points[r, s, c, n, y, x, i] * weight[r, s, k, c, i, o], axis=[c, i]),
        name="products",
    )
    rows = te.compute(
        (tile, side, outputs, batch, down, across, lanes),
        lambda r, s, k, n, y, x, o: _at(r, after(tile, [products[j, s, k, n, y, x, o] for j in range(side)])),
        name="rows",
    )
    return te.compute(
        (batch, outputs, height, width, lanes),
        lambda n, k, h, w, o: _at(
            w % tile, after(tile, [rows[h % tile, j, k, n, h // tile, w // tile, o] for j in range(side)])
        ),
        name="result",
    )


def _at(place: tir.PrimExpr, values: Sequence[tir.PrimExpr]) -> tir.PrimExpr:
    """The value whose number is ``place``."""
    chosen = values[-1]
    for number in reversed(range(len(values) - 1)):
        chosen = tir.if_then_else(place == number, values[number], chosen)
    return chosen


def _schedule(attrs: Any, outs: Sequence[te.Tensor], target: Any) -> te.Schedule:
    """TE's schedule: each stage in loops of its own, its last axis in vectors. What is to be fast is lowered by TIR."""
    schedule = te.create_schedule([out.op for out in outs])
    for stage in schedule.stages:
        if not isinstance(stage.op, te.ComputeOp) or len(stage.op.axis) < 2:
            continue
        *outer, last = stage.op.axis
        stage.reorder(*outer, *stage.op.reduce_axis, last)
        stage.parallel(outer[0])
        if int(last.dom.extent) in _VECTORS:
            stage.vectorize(last)
    return schedule


def _strategy(attrs: Any, inputs: Sequence[te.Tensor], out_type: Any, target: Any) -> Any:
    """The operator's strategy for CPUs: ours for blocked layouts, TVM's own for all others."""
    if not str(attrs.data_layout).startswith("NCHW") or str(attrs.data_layout) == "NCHW":
        return x86.conv2d_winograd_without_weight_transform_strategy_cpu(attrs, inputs, out_type, target)
    strategy = relay.op.OpStrategy()
    strategy.add_implementation(
        lambda attrs, inputs, out_type: [computation(inputs[0], inputs[1], attrs, out_type)],
        _schedule,
        name="winograd_NCHWc.x86",
    )
    return strategy


generic.conv2d_winograd_without_weight_transform_strategy.register("cpu", _strategy)
