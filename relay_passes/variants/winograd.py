"""Winograd's minimal filtering for 3x3 ``nn.conv2d``, in plain Relay ops.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016): with tiles of m x m results,
``Y = A^T [(G g G^T) * (B^T d B)] A``, summed over input channels. TVM's own operator for it,
``nn.contrib_conv2d_winograd_without_weight_transform``, has no strategy on a CPU unless MetaSchedule is enabled for the
whole build; so the transform of the image is written as a convolution with a constant weight here; the sum over
channels, one matrix for each of the (m + 2)^2 points, and the transform back as products with constant matrices. Each
can have any lowering; TE's schedule for such products is slow, TIR's is not.
"""

from __future__ import annotations

import functools

import numpy as np
from tvm import relay

from relay_passes.variants.convolution import channels, is_plain
from relay_passes.variants.variant import Site, Variant, constant

_WINDOW = 3

# By tile size m: B^T, G and A^T of the paper, for the points 0, 1, -1 (and 2, -2).
_MATRICES: dict[int, tuple[list[list[float]], list[list[float]], list[list[float]]]] = {
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    4: (
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
}


def _applies(site: Site) -> bool:
    attrs = site.attrs
    return (
        is_plain(site)
        and site.is_constant(1)
        and site.result.dtype != "float16"  # its transforms lose too many digits
        and channels(site)[2] == 1
        and site.argument(1).shape[2:] == (_WINDOW, _WINDOW)
        and all(int(step) == 1 for step in (*attrs.strides, *attrs.dilation))
    )


def _winograd(site: Site, arguments: list[relay.Expr], *, tile: int) -> relay.Expr:
    inputs, outputs, _ = channels(site)
    batch, _, height, width = site.result.shape
    down, across = -(-height // tile), -(-width // tile)  # tiles
    size = tile + _WINDOW - 1
    points, count = size * size, batch * down * across
    before, weight_side, after = (np.array(matrix) for matrix in _MATRICES[tile])

    image = _padded(site, arguments[0], down * tile + _WINDOW - 1, across * tile + _WINDOW - 1)
    image = relay.reshape(image, (batch * inputs, 1, down * tile + _WINDOW - 1, across * tile + _WINDOW - 1))
    window = np.kron(before, before).reshape(points, 1, size, size)
    data = relay.nn.conv2d(
        image,
        constant(window.astype(site.result.dtype)),
        strides=(tile, tile),
        channels=points,
        kernel_size=(size, size),
        out_dtype=site.result.dtype,
    )  # [batch * inputs, points, down, across]
    data = relay.transpose(relay.reshape(data, (batch, inputs, points, down * across)), (2, 0, 3, 1))
    data = relay.reshape(data, (points, count, inputs))

    weight = np.einsum("ir,ocrs,js->ijco", weight_side, site.argument(1).expr.data.numpy(), weight_side)
    weight = weight.reshape(points, inputs, outputs).astype(site.result.dtype)
    product = relay.nn.batch_matmul(data, constant(weight), transpose_b=False, out_dtype=site.result.dtype)

    product = relay.reshape(product, (1, points, count * outputs))
    back = constant(np.kron(after, after).reshape(1, tile * tile, points).astype(site.result.dtype))
    tiles = relay.nn.batch_matmul(back, product, transpose_b=False, out_dtype=site.result.dtype)
    tiles = relay.transpose(relay.reshape(tiles, (tile, tile, batch, down, across, outputs)), (2, 5, 3, 0, 4, 1))
    result = relay.reshape(tiles, (batch, outputs, down * tile, across * tile))
    if (down * tile, across * tile) == (height, width):
        return result
    return relay.strided_slice(result, [0, 0, 0, 0], site.result.shape)


def _padded(site: Site, image: relay.Expr, height: int, width: int) -> relay.Expr:
    """The image with its own padding, and as many zeros more as fill the last tiles."""
    sides = [int(extent) for extent in site.attrs.padding]
    top, left = (sides * 2)[:2]  # one number for all sides, two, or four
    have = site.argument(0).shape[2:]
    pads = ((top, height - have[0] - top), (left, width - have[1] - left))
    return relay.nn.pad(image, ((0, 0), (0, 0), *pads))


CONV2D = tuple(Variant(f"winograd/{tile}", _applies, functools.partial(_winograd, tile=tile)) for tile in _MATRICES)
