"""Winograd's minimal filtering for 3x3 ``nn.conv2d``: one op over blocked images, its weight transformed beforehand."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from tvm import relay
from tvm.target.x86 import get_simd_32bit_lanes

from relay_passes.variants.convolution import channels, is_plain
from relay_passes.variants.variant import DEFAULT, Site, Variant, constant, same_call
from relay_passes.winograd import TILES, WINDOW, transformed_weight

_SHORTEST_VECTOR = 8  # for which it was measured
_FEWEST_TILES = 16  # of 4 x 4: with fewer, reading 36 values for each 9 of the weight takes what the products save
_MANY_TILES, _LARGE_WEIGHT = 32, 128 * 128  # pairs of channels
_LEAST_PRODUCTS = 24  # for each value that is transformed: with fewer, large maps take longer than the sums themselves


def _applies(site: Site) -> bool:
    """Whole vectors of channels; float32, for the transforms lose too many digits of less."""
    attrs = site.attrs
    inputs, outputs, groups = channels(site)
    return (
        site.lanes > 0
        and is_plain(site)
        and site.is_constant(1)
        and site.result.dtype == "float32"
        and groups == 1
        and inputs % site.lanes == outputs % site.lanes == 0
        and site.argument(1).shape[2:] == (WINDOW, WINDOW)
        and all(int(step) == 1 for step in (*attrs.strides, *attrs.dilation))
    )


def _alter(
    attrs: Any, operands: Sequence[relay.Expr], infos: Sequence[Any], result: relay.Type, *, tile: int
) -> relay.Expr:
    """What AlterOpLayout puts in the place of the convolution; images in blocks of one vector, as TVM's own are."""
    lanes = get_simd_32bit_lanes()
    image, weight = operands
    layout = f"NCHW{lanes}c"
    new = {key: attrs[key] for key in attrs.keys()}  # noqa: SIM118
    new.update(channels=int(infos[1].shape[0]), data_layout=layout, out_layout=layout, tile_size=tile)
    packed = constant(transformed_weight(weight.data.numpy(), tile, lanes, lanes))
    return relay.nn.contrib_conv2d_winograd_without_weight_transform(image, packed, **new)


CONV2D = tuple(
    Variant(f"winograd/{tile}", _applies, same_call, alter=functools.partial(_alter, tile=tile)) for tile in TILES
)


def suggest(site: Site) -> str:
    """Where there are many tiles, over many channels: 1.4 to 3 times faster on AVX2 and AVX-512.

    Tiles of 4 x 4, or of 2 x 2 where there are few for a large weight, of which 16 values are to be read and not 36.
    """
    if site.lanes < _SHORTEST_VECTOR or not _applies(site):
        return DEFAULT
    inputs, outputs, _ = channels(site)
    batch, _, height, width = site.result.shape
    tiles = batch * -(-height // 4) * -(-width // 4)
    if tiles < _FEWEST_TILES or inputs * outputs < _LEAST_PRODUCTS * (inputs + outputs):
        return DEFAULT
    return "winograd/2" if tiles < _MANY_TILES and inputs * outputs >= _LARGE_WEIGHT else "winograd/4"
