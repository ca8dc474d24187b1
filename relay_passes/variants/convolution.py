"""Variants of ``nn.conv2d`` that are layouts: TVM's AlterOpLayout carries them through the ops around."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relay

from relay_passes.dataflow import Value
from relay_passes.variants.variant import DEFAULT, Alter, Array, Site, Variant, constant, keep, same_call

BLOCKS = (8, 16, 32)
"""Channels that lie side by side: the largest divisor of the channels that is no larger."""
_SIDE_BY_SIDE = (4, 2, 1)  # vectors of a register tile, the best first
_FEW_MORE = 0.05  # of the channels
_MANY_VECTORS = 16  # so many channels are worth padding: the slice behind costs less than what whole vectors save
_MOST_PARTS = 8  # kernels that a grouped convolution may fall into


def largest_divisor(number: int, limit: int) -> int:
    return next(divisor for divisor in range(min(number, limit), 0, -1) if number % divisor == 0)


def is_plain(site: Site) -> bool:
    """Whether the op is as front ends write it: floats, images in NCHW, weights in OIHW."""
    attrs = site.attrs
    return (
        site.is_float
        and str(attrs.data_layout) == "NCHW"
        and str(attrs.kernel_layout) == "OIHW"
        and str(attrs.out_layout) in ("", "NCHW")
    )


def channels(site: Site) -> tuple[int, int, int]:
    """Input channels, output channels, groups."""
    return site.argument(0).shape[1], site.result.shape[1], int(site.attrs.groups)


def is_depthwise(site: Site) -> bool:
    """One output channel for each input channel, from that alone."""
    inputs, outputs, groups = channels(site)
    return groups == inputs == outputs > 1


def _blocks(limit: int, inputs: int, outputs: int, groups: int) -> tuple[int, int]:
    return largest_divisor(inputs // groups, limit), largest_divisor(outputs // groups, limit)


def _block(limit: int) -> Alter:
    def alter(attrs: Any, operands: Sequence[relay.Expr], infos: Sequence[Any], result: relay.Type) -> relay.Expr:
        inputs, outputs, groups = int(infos[0].shape[1]), int(infos[1].shape[0]), int(attrs.groups)
        new = {key: attrs[key] for key in attrs.keys()}  # noqa: SIM118
        new["channels"] = outputs
        if groups == inputs == outputs > 1:
            block = largest_divisor(inputs, limit)
            new.update(data_layout=f"NCHW{block}c", kernel_layout=f"OIHW1i{block}o", out_layout=f"NCHW{block}c")
            return relay.nn.contrib_depthwise_conv2d_nchwc(*operands, **new)
        inner, outer = _blocks(limit, inputs, outputs, groups)
        new.update(data_layout=f"NCHW{inner}c", kernel_layout=f"OIHW{inner}i{outer}o", out_layout=f"NCHW{outer}c")
        return relay.nn.contrib_conv2d_nchwc(*operands, **new)

    return alter


def _channels_last(attrs: Any, operands: Sequence[relay.Expr], infos: Sequence[Any], result: relay.Type) -> relay.Expr:
    new = {key: attrs[key] for key in attrs.keys()}  # noqa: SIM118
    inputs, outputs, groups = int(infos[0].shape[1]), int(infos[1].shape[0]), int(attrs.groups)
    is_per_channel = groups == inputs == outputs > 1
    new.update(data_layout="NHWC", kernel_layout="HWOI" if is_per_channel else "HWIO", out_layout="NHWC")
    return relay.nn.conv2d(*operands, **new)


def _can_block(site: Site, *, limit: int) -> bool:
    """Whether blocks of this limit differ from those of half of it; the target must have x86 schedules."""
    if not site.lanes or not is_plain(site):
        return False
    inputs, outputs, groups = channels(site)
    if groups > 1 and groups == inputs != outputs:  # several outputs of each channel: no schedule takes it
        return False
    if is_depthwise(site):
        groups = 1
    smaller = limit // 2 if limit > BLOCKS[0] else 0
    return smaller == 0 or _blocks(limit, inputs, outputs, groups) != _blocks(smaller, inputs, outputs, groups)


def _can_be_channels_last(site: Site) -> bool:
    inputs, outputs, groups = channels(site)
    return site.lanes > 0 and is_plain(site) and (groups < inputs or inputs in (1, outputs))


def parallel_key(site: Site) -> str | None:
    """What ops that read the same image must have in common to be computed as one; None for one that cannot."""
    if not is_plain(site) or not site.is_constant(1) or int(site.attrs.groups) != 1:
        return None
    attrs = site.attrs
    return str([attrs.strides, attrs.padding, attrs.dilation, site.argument(1).shape[1:]])


def _join(sites: list[Site], image: relay.Expr) -> list[relay.Expr]:
    """One convolution for all; each op's result is its slice of the channels."""
    weight = np.concatenate([site.argument(1).expr.data.numpy() for site in sites])
    joined = conv2d_like(sites[0], image, weight)
    ends = np.cumsum([site.result.shape[1] for site in sites]).tolist()
    return [relay.strided_slice(joined, [begin], [end], axes=[1]) for begin, end in zip([0, *ends], ends, strict=False)]


def conv2d_like(site: Site, image: relay.Expr, weight: Array, groups: int = 1) -> relay.Expr:
    """A convolution with the op's window, strides and padding, but another weight."""
    new = {key: site.attrs[key] for key in site.attrs.keys()}  # noqa: SIM118
    new.update(channels=len(weight), kernel_size=weight.shape[2:], groups=groups)
    return relay.nn.conv2d(image, constant(weight), **new)


def _channels_between(image: relay.Expr, like: Value, begin: int, end: int) -> relay.Expr:
    """Some channels, with every axis told: AlterOpLayout can fail on a strided_slice that names its axes."""
    batch, _, height, width = like.shape
    return relay.strided_slice(image, [0, begin, 0, 0], [batch, end, height, width])


def _can_be_split(site: Site) -> bool:
    inputs, _, groups = channels(site)
    return is_plain(site) and site.is_constant(1) and 1 < groups < inputs and groups <= _MOST_PARTS


def _split(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    """A convolution for each group, on its slice of the channels."""
    inputs, _, groups = channels(site)
    step = inputs // groups
    weights = np.split(site.argument(1).expr.data.numpy(), groups)
    parts = [
        conv2d_like(site, _channels_between(arguments[0], site.argument(0), i * step, (i + 1) * step), part)
        for i, part in enumerate(weights)
    ]
    return relay.concatenate(parts, axis=1)


def _ungrouped(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    """One convolution over all channels, whose weight is 0 between groups: more work, in whole vectors."""
    inputs, outputs, groups = channels(site)
    weight = site.argument(1).expr.data.numpy()
    whole = np.zeros((outputs, inputs, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        whole[rows, group * inputs // groups : (group + 1) * inputs // groups] = weight[rows]
    return conv2d_like(site, arguments[0], whole)


def _is_product(site: Site) -> bool:
    """Whether each group is the product of its weight matrix and its pixels: a window of one, one image."""
    attrs = site.attrs
    return (
        is_plain(site)
        and site.argument(0).shape[0] == 1
        and channels(site)[2] < channels(site)[0]
        and site.argument(1).shape[2:] == (1, 1)
        and not any(int(side) for side in attrs.padding)
        and all(int(step) == 1 for step in attrs.strides)
    )


def _as_matmul(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    """One matrix product for each group, over the pixels of the image as it is: no block of channels has to divide."""
    inputs, outputs, groups = channels(site)
    pixels = relay.reshape(arguments[0], (groups, inputs // groups, -1))
    weight = relay.reshape(arguments[1], (groups, outputs // groups, inputs // groups))
    product = relay.nn.batch_matmul(weight, pixels, out_dtype=site.result.dtype, transpose_b=False)
    return relay.reshape(product, site.result.shape)


def _missing_channels(site: Site) -> int:
    """Output channels that fill the last vector, and the last group of vectors that share a register tile if few do."""
    outputs = channels(site)[1]
    if not site.lanes or outputs % site.lanes == 0:
        return 0
    missing = [-outputs % (vectors * site.lanes) for vectors in _SIDE_BY_SIDE]
    return next((more for more in missing if more <= _FEW_MORE * outputs), missing[-1])


def _can_be_padded(site: Site) -> bool:
    return is_plain(site) and site.is_constant(1) and channels(site)[2] == 1 and _missing_channels(site) > 0


def _padded(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    """Channels of zeros fill the last vector: of 1000 channels TVM's own blocks are 10 wide."""
    weight = np.pad(site.argument(1).expr.data.numpy(), ((0, _missing_channels(site)), (0, 0), (0, 0), (0, 0)))
    batch, _, height, width = site.result.shape
    whole = conv2d_like(site, arguments[0], weight)
    return relay.strided_slice(whole, [0, 0, 0, 0], [batch, channels(site)[1], height, width])


CONV2D = (
    Variant("NCHW", lambda site: site.lanes > 0 and is_plain(site), same_call, alter=keep),
    *(
        Variant(f"NCHWc/{limit}", functools.partial(_can_block, limit=limit), same_call, alter=_block(limit))
        for limit in BLOCKS
    ),
    Variant("NHWC", _can_be_channels_last, same_call, alter=_channels_last),
    Variant("split", _can_be_split, _split),
    Variant("ungrouped", _can_be_split, _ungrouped),
    Variant("matmul", _is_product, _as_matmul),
    Variant("padded", _can_be_padded, _padded),
    Variant("combined", lambda site: len(site.parallel) > 1, join=_join),
)


def suggest(site: Site) -> str:
    """TVM blocks by one vector itself, but for groups of several channels, which it leaves in NCHW.

    Groups with a window of one are matrix products. Of others, where vectors of a group's channels are shorter than
    whole ones by more than there are groups, one convolution over all channels does its needless work faster.
    """
    inputs, outputs, groups = channels(site)
    if 1 < groups < inputs:
        if _is_product(site):
            return "matmul"
        vector = outputs // groups & -(outputs // groups)
        if vector * groups <= site.lanes and _can_be_split(site):
            return "ungrouped"
        fitting = [limit for limit in BLOCKS if limit <= max(site.lanes, BLOCKS[0]) and _can_block(site, limit=limit)]
        if fitting:
            return f"NCHWc/{fitting[-1]}"
    if outputs >= _MANY_VECTORS * site.lanes and _can_be_padded(site) and outputs & -outputs <= site.lanes // 2:
        return "padded"
    return DEFAULT
