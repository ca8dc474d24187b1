"""Floating point operations of one op, from its name, attributes and shapes."""

from __future__ import annotations

import json
import math
from typing import Any

from tvm_go.layouts import Shape, axes, channels, window


def op_flops(name: str, attrs: str, inputs: list[Shape], output: Shape) -> float:
    """Operations of one execution; a multiply-add counts as two, moving data as none.

    Parameters
    ----------
    name, attrs : str
        Operator and the JSON of its attributes.
    inputs : list of shape
    output : shape
        Of output 0.
    """
    size = float(math.prod(output))
    if name == "nn.contrib_conv2d_winograd_without_weight_transform":
        return _winograd_flops(json.loads(attrs), inputs[1], output)
    if "conv" in name and '"data_layout"' in attrs:  # not so the transforms of Winograd's weights
        return _convolution_flops(json.loads(attrs), inputs, output, transposed="transpose" in name)
    if "dense" in name and len(inputs) > 1:
        return 2 * size * inputs[0][-1]
    if name in ("nn.batch_matmul", "nn.matmul"):
        transposed = json.loads(attrs).get("transpose_a")
        return 2 * size * inputs[0][-2 if transposed else -1]
    if "global" in name or "adaptive" in name or name in _REDUCTIONS:
        return float(math.prod(inputs[0]))
    if "pool" in name:
        return size * math.prod(json.loads(attrs).get("pool_size", [1]))
    if name.endswith("softmax"):
        return 5 * size
    return 0.0 if name in _MOVES else size


def _convolution_flops(attrs: dict[str, Any], inputs: list[Shape], output: Shape, *, transposed: bool) -> float:
    """Each output element meets one window of one group's channels; of a transposed one, each input element."""
    layout = attrs["data_layout"]
    extents = window(attrs, inputs[1])
    if transposed:
        many, taken = inputs[0], channels(attrs.get("out_layout") or layout, output)
    else:
        many, taken = output, channels(layout, inputs[0])
    return 2.0 * math.prod(many) * math.prod(extents) * taken / (attrs.get("groups") or 1)


def _winograd_flops(attrs: dict[str, Any], weight: Shape, output: Shape) -> float:
    """Each tile of results meets all of the transformed weight; the transforms are not counted."""
    layout, side = axes(attrs["out_layout"] or attrs["data_layout"]), attrs["tile_size"]
    batch, height, width = (output[layout.index(axis)] for axis in "NHW")
    return 2.0 * batch * math.ceil(height / side) * math.ceil(width / side) * math.prod(weight)


_REDUCTIONS = {"sum", "mean", "max", "min", "prod", "all", "any", "argmax", "argmin", "variance", "nn.lrn"}
_MOVES = {
    "reshape", "transpose", "layout_transform", "concatenate", "split", "squeeze", "expand_dims", "strided_slice",
    "take", "gather", "gather_nd", "nn.batch_flatten", "broadcast_to", "broadcast_to_like", "full", "full_like",
    "zeros", "ones", "zeros_like", "ones_like", "reverse", "repeat", "tile", "stack", "nn.pad", "cast", "copy",
    "contrib_reverse_reshape", "reshape_like", "slice_like", "arange", "space_to_depth", "nn.depth_to_space",
    "nn.space_to_depth", "annotation.stop_fusion", "device_copy",
}  # fmt: skip
