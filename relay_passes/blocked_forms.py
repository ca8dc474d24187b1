"""The CPU's blocked and packed forms for devices with threads, for which TVM computes them on CPUs only.

No schedule of TE's serves them there; the generic TIR schedule does (`relay_passes.schedules`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import relay, te, tir
from tvm.relay.op.strategy import cuda, generic

from relay_passes import winograd
from tvm_go.errors import PlanError

Compute = Callable[[Any, Sequence[te.Tensor], Any], list[te.Tensor]]


def packed_dense(attrs: Any, inputs: Sequence[te.Tensor], result: relay.TensorType) -> list[te.Tensor]:
    """``nn.contrib_dense_pack`` of rows [M, K] and a weight [N / n, K, n]: [M, N]."""
    rows, weight = inputs
    block = int(weight.shape[2])
    k = te.reduce_axis((0, rows.shape[1]), "k")
    return [
        te.compute(
            result.shape,
            lambda y, x: te.sum(
                rows[y, k].astype(result.dtype) * weight[x // block, k, x % block].astype(result.dtype), axis=k
            ),
            name="packed_dense",
        )
    ]


def depthwise(attrs: Any, inputs: Sequence[te.Tensor], result: relay.TensorType) -> list[te.Tensor]:
    """``nn.contrib_depthwise_conv2d_NCHWc`` of images [N, C, H, W, c] and a weight [C, 1, y, x, 1, c]."""
    image, weight = inputs
    height, width = (int(extent) for extent in image.shape[2:4])
    down, across = (int(step) for step in attrs.strides)
    apart_y, apart_x = (int(step) for step in attrs.dilation)
    top, left = ([int(extent) for extent in attrs.padding] * 2)[:2]  # one number for all sides, two, or four
    window = [int(extent) for extent in weight.shape[2:4]]
    rows = (int(result.shape[2]) - 1) * down + (window[0] - 1) * apart_y + 1
    columns = (int(result.shape[3]) - 1) * across + (window[1] - 1) * apart_x + 1
    padded = te.compute(
        (image.shape[0], image.shape[1], rows, columns, image.shape[4]),
        lambda n, c, h, w, i: tir.if_then_else(
            tir.all(h >= top, h < height + top, w >= left, w < width + left),
            image[n, c, h - top, w - left, i],
            tir.const(0, image.dtype),
        ),
        name="padded",
    )
    y, x = te.reduce_axis((0, window[0]), "y"), te.reduce_axis((0, window[1]), "x")
    return [
        te.compute(
            result.shape,
            lambda n, c, h, w, i: te.sum(
                padded[n, c, h * down + y * apart_y, w * across + x * apart_x, i].astype(result.dtype)
                * weight[c, 0, y, x, 0, i].astype(result.dtype),
                axis=[y, x],
            ),
            name="depthwise",
        )
    ]


def _winograd(attrs: Any, inputs: Sequence[te.Tensor], result: relay.TensorType) -> list[te.Tensor]:
    return [winograd.computation(inputs[0], inputs[1], attrs, result)]


def _schedule(attrs: Any, outs: Sequence[te.Tensor], target: Any) -> te.Schedule:
    raise PlanError(f"TE has no schedule for the CPU's form of this op on {target.kind.name}: only 'tir' takes it")


def _strategy(name: str, compute: Compute) -> Callable[[Any, Sequence[te.Tensor], Any, Any], Any]:
    def strategy(attrs: Any, inputs: Sequence[te.Tensor], out_type: Any, target: Any) -> Any:
        if compute is _winograd and str(attrs.data_layout) in ("NCHW", "NHWC"):
            return cuda.conv2d_winograd_without_weight_transform_strategy_cuda(attrs, inputs, out_type, target)
        found = relay.op.OpStrategy()
        found.add_implementation(compute, _schedule, name=name)
        return found

    return strategy


generic.dense_pack_strategy.register("gpu", _strategy("dense_pack.threads", packed_dense))
generic.depthwise_conv2d_NCHWc_strategy.register("gpu", _strategy("depthwise_NCHWc.threads", depthwise))
generic.conv2d_winograd_without_weight_transform_strategy.register(
    "gpu", _strategy("winograd_NCHWc.threads", _winograd), override=True
)
