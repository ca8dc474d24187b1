"""Kernels of every sort that a schedule must know, by name."""

from __future__ import annotations

from collections.abc import Callable

from tvm import relay

from tests.cost_model.kernels import parameter
from tests.relay_passes.one_kernel import Make, kernel
from tests.relay_passes.winograd_kernels import WINOGRAD_KERNELS


def conv_nchwc(
    channels: int, out: int, size: int, kernel_size: int = 3, *, block: int = 8, inner: int = 0, stride: int = 1,
    pad: int | None = None,
) -> relay.Function:  # fmt: skip
    """A blocked convolution with bias and ReLU; ``inner`` is the block of the input, by default that of the output."""
    inner = inner or block
    pad = kernel_size // 2 if pad is None else pad
    x = parameter("x", 1, channels // inner, size, size, inner)
    w = parameter("w", out // block, channels // inner, kernel_size, kernel_size, inner, block)
    conv = relay.nn.contrib_conv2d_nchwc(
        x,
        w,
        channels=out,
        kernel_size=(kernel_size, kernel_size),
        strides=(stride, stride),
        padding=(pad, pad),
        data_layout=f"NCHW{inner}c",
        kernel_layout=f"OIHW{inner}i{block}o",
        out_layout=f"NCHW{block}c",
    )
    return kernel(relay.nn.relu(conv + parameter("b", 1, out // block, 1, 1, block)))


def depthwise_nchwc(channels: int, size: int, *, block: int = 8, stride: int = 1) -> relay.Function:
    x, w = parameter("x", 1, channels // block, size, size, block), parameter("w", channels // block, 1, 3, 3, 1, block)
    conv = relay.nn.contrib_depthwise_conv2d_nchwc(
        x,
        w,
        channels=channels,
        kernel_size=(3, 3),
        strides=(stride, stride),
        padding=(1, 1),
        groups=channels,
        data_layout=f"NCHW{block}c",
        kernel_layout=f"OIHW1i{block}o",
        out_layout=f"NCHW{block}c",
    )
    return kernel(relay.clip(conv + parameter("b", 1, channels // block, 1, 1, block), 0.0, 6.0))


def conv_nchw(channels: int, out: int, size: int, *, groups: int = 1, stride: int = 1) -> relay.Function:
    x, w = parameter("x", 1, channels, size, size), parameter("w", out, channels // groups, 3, 3)
    conv = relay.nn.conv2d(
        x, w, channels=out, kernel_size=(3, 3), padding=(1, 1), groups=groups, strides=(stride, stride)
    )
    return kernel(relay.nn.relu(conv + parameter("b", out, 1, 1)))


def dense(rows: int, columns: int, units: int) -> relay.Function:
    return kernel(relay.nn.dense(parameter("x", rows, columns), parameter("w", units, columns)) + parameter("b", units))


def packed_dense(rows: int, columns: int, units: int, block: int = 16) -> relay.Function:
    x, w = parameter("x", rows, columns), parameter("w", units // block, columns, block)
    packed = relay.nn.contrib_dense_pack(x, w, weight_layout=f"NC{block}n")
    return kernel(relay.nn.relu(packed + parameter("b", units)))


def matmul(
    rows: int, columns: int, reduced: int, *, batch: int = 2, transposed: bool = False, epilogue: bool = True
) -> relay.Function:
    x = parameter("x", batch, rows, reduced)
    y = parameter("y", batch, columns, reduced) if transposed else parameter("y", batch, reduced, columns)
    product = relay.nn.batch_matmul(x, y, transpose_b=transposed)
    return kernel(product * relay.const(0.125) if epilogue else product)


def gelu(x: relay.Expr) -> relay.Expr:
    return x * (relay.const(0.5) + relay.const(0.5) * relay.erf(x * relay.const(0.70710678)))


def matmul_gelu_behind_reshape() -> relay.Function:
    product = relay.nn.batch_matmul(parameter("x", 1, 32, 48), parameter("y", 1, 48, 64), transpose_b=False)
    return kernel(gelu(relay.reshape(product, (2, 16, 64)) + parameter("b", 64)))


def softmax(x: relay.Expr, axis: int = -1) -> relay.Expr:
    """Op by op, as TVM's front ends write it where they do not use `nn.softmax`."""
    shifted = relay.exp(x - relay.max(x, axis=axis, keepdims=True))
    return shifted / relay.sum(shifted, axis=axis, keepdims=True)


def attention(queries: int, keys: int, *, fused_op: bool) -> relay.Function:
    product = relay.nn.batch_matmul(parameter("x", 2, queries, 16), parameter("y", 2, keys, 16))
    scores = product * relay.const(0.25)
    return kernel(relay.nn.softmax(scores) if fused_op else softmax(scores))


def layer_norm(*shape: int) -> relay.Function:
    x = parameter("x", *shape)
    mean = relay.mean(x, axis=-1, keepdims=True)
    centred = x - mean
    variance = relay.mean(centred * centred, axis=-1, keepdims=True)
    normal = centred / relay.sqrt(variance + relay.const(1e-5))
    return kernel(normal * parameter("gamma", shape[-1]) + parameter("beta", shape[-1]))


def variance(*shape: int) -> relay.Function:
    x = parameter("x", *shape)
    return kernel(relay.variance(x, axis=-1, keepdims=True))


def pool(kind: str, size: int, *, window: int = 3, stride: int = 2, pad: int = 1, block: int = 8) -> relay.Function:
    op = relay.nn.max_pool2d if kind == "max" else relay.nn.avg_pool2d
    x = parameter("x", 1, 2, size, size, block)
    return kernel(op(x, (window, window), (stride, stride), padding=(pad, pad), layout=f"NCHW{block}c"))


def global_pool(*shape: int, layout: str) -> relay.Function:
    return kernel(relay.nn.global_avg_pool2d(relay.nn.relu(parameter("x", *shape)), layout=layout))


def reduced(op: Callable[..., relay.Expr], axis: int | tuple[int, ...] | None, *shape: int) -> relay.Function:
    return kernel(op(relay.nn.relu(parameter("x", *shape) + parameter("y", *shape)), axis=axis))


def unary(op: Callable[..., relay.Expr], *shape: int) -> relay.Function:
    return kernel(op(parameter("x", *shape) * relay.const(0.5)))


def concatenated(axis: int, *, after: bool) -> relay.Function:
    parts = relay.concatenate([parameter("x", 2, 8, 12), parameter("y", 2, 8, 12)], axis=axis)
    return kernel(relay.nn.relu(parts) if after else parts)


def split_parts(*shape: int, axis: int) -> relay.Function:
    return kernel(relay.split(relay.nn.relu(parameter("x", *shape)), 3, axis=axis).astuple())


def several_outputs() -> relay.Function:
    x = parameter("x", 8, 64)
    return kernel(relay.Tuple([relay.nn.relu(x), relay.sum(x, axis=1), relay.exp(x)]))


def masked_scores() -> relay.Function:
    mask, x = parameter("mask", 4, 1, 16, dtype="bool"), parameter("x", 4, 16, 16)
    return kernel(softmax(relay.where(mask, x, relay.const(-1e9))))


def integers(op: Callable[..., relay.Expr], dtype: str = "int32") -> relay.Function:
    return kernel(op(parameter("i", 5, 33, dtype=dtype), parameter("j", 5, 33, dtype=dtype)))


def embedding() -> relay.Function:
    taken = relay.take(parameter("table", 50, 24), parameter("i", 3, 7, dtype="int32"), axis=0)
    return kernel(taken * relay.const(4.0))


def conv_softmax() -> relay.Function:
    """Two anchors of different sorts, with a reduction over channels between."""
    x, w = parameter("x", 1, 8, 7, 7), parameter("w", 8, 8, 1, 1)
    return kernel(softmax(relay.nn.conv2d(x, w, channels=8, kernel_size=(1, 1)), axis=1))


def two_matmuls() -> relay.Function:
    scores = relay.nn.batch_matmul(parameter("q", 2, 16, 8), parameter("k", 2, 16, 8))
    return kernel(relay.nn.batch_matmul(softmax(scores), parameter("v", 2, 16, 8), transpose_b=False))


def sum_and_negative() -> relay.Function:
    """A reduction is an output, and has a consumer that could be its epilogue."""
    total = relay.sum(parameter("x", 2, 6, 16), axis=1)
    return kernel(relay.Tuple([total, relay.negative(total)]))


def by_mask() -> relay.Function:
    """Two masks decide between two tensors."""
    masks = [parameter(name, 4, 32, dtype="bool") for name in ("mask", "other")]
    return kernel(relay.where(relay.logical_and(*masks), parameter("x", 4, 32), parameter("y", 4, 32)))


def scalar_output() -> relay.Function:
    return kernel(relay.sqrt(relay.sum(relay.abs(parameter("x", 16, 20)))))


KERNELS: dict[str, Make] = {
    "conv_1x1": lambda: conv_nchwc(32, 64, 14, 1),
    "conv_1x1_strided": lambda: conv_nchwc(16, 32, 14, 1, stride=2),
    "conv_3x3": lambda: conv_nchwc(16, 32, 14),
    "conv_3x3_strided": lambda: conv_nchwc(16, 16, 15, stride=2),
    "conv_3x3_unpadded": lambda: conv_nchwc(16, 16, 10, pad=0),
    "conv_block_16": lambda: conv_nchwc(32, 32, 8, block=16),
    "conv_block_4": lambda: conv_nchwc(8, 12, 8, block=4),
    "conv_first": lambda: conv_nchwc(3, 32, 32, 7, inner=3, stride=2),
    "conv_7x7_map": lambda: conv_nchwc(32, 32, 7),
    "conv_13x13_map": lambda: conv_nchwc(16, 16, 13),
    "conv_55x55_map": lambda: conv_nchwc(8, 8, 55, 1),
    "conv_1x1_map": lambda: conv_nchwc(32, 48, 1, 1),
    **WINOGRAD_KERNELS,
    "depthwise": lambda: depthwise_nchwc(16, 14),
    "depthwise_strided": lambda: depthwise_nchwc(16, 13, stride=2),
    "depthwise_7x7_map": lambda: depthwise_nchwc(32, 7, block=16),
    "conv_nchw": lambda: conv_nchw(8, 16, 12),
    "conv_nchw_odd": lambda: conv_nchw(3, 5, 13, stride=2),
    "conv_nchw_grouped": lambda: conv_nchw(8, 16, 12, groups=4),
    "conv_nchw_depthwise": lambda: conv_nchw(8, 8, 12, groups=8),
    "dense": lambda: dense(16, 64, 32),
    "dense_one_row": lambda: dense(1, 64, 1000),
    "dense_odd_rows": lambda: dense(197, 48, 64),
    "dense_odd_units": lambda: dense(4, 64, 1001),
    "dense_odd_columns": lambda: dense(4, 1001, 16),
    "dense_pack": lambda: packed_dense(16, 64, 64),
    "dense_pack_one_row": lambda: packed_dense(1, 64, 128),
    "dense_pack_block_8": lambda: packed_dense(13, 32, 40, block=8),
    "matmul_nn": lambda: matmul(32, 48, 24),
    "matmul_nt": lambda: matmul(32, 48, 24, transposed=True),
    "matmul_alone": lambda: matmul(32, 48, 24, epilogue=False),
    "matmul_nn_odd": lambda: matmul(197, 197, 16),
    "matmul_nt_odd": lambda: matmul(197, 197, 16, transposed=True),
    "matmul_nt_odd_units": lambda: matmul(4, 1001, 8, transposed=True),
    "matmul_one_row": lambda: matmul(1, 64, 32, transposed=True),
    "matmul_odd_reduction": lambda: matmul(8, 16, 197),
    "matmul_gelu_reshape": matmul_gelu_behind_reshape,
    "max_pool": lambda: pool("max", 14),
    "max_pool_odd": lambda: pool("max", 55, pad=0),
    "avg_pool": lambda: pool("avg", 13),
    "avg_pool_3x3_same": lambda: pool("avg", 7, stride=1),
    "global_pool_blocked": lambda: global_pool(1, 4, 7, 7, 8, layout="NCHW8c"),
    "global_pool": lambda: global_pool(1, 32, 13, 13, layout="NCHW"),
    "softmax": lambda: kernel(relay.nn.softmax(parameter("x", 12, 64))),
    "softmax_odd": lambda: kernel(relay.nn.softmax(parameter("x", 2, 5, 197))),
    "softmax_1000": lambda: kernel(relay.nn.softmax(parameter("x", 1, 1000))),
    "softmax_1001": lambda: kernel(relay.nn.softmax(parameter("x", 1, 1001))),
    "softmax_axis_1": lambda: kernel(relay.nn.softmax(parameter("x", 2, 9, 16), axis=1)),
    "softmax_by_ops": lambda: kernel(softmax(parameter("x", 12, 64))),
    "softmax_by_ops_odd": lambda: kernel(softmax(parameter("x", 3, 197))),
    "log_softmax": lambda: kernel(relay.nn.log_softmax(parameter("x", 3, 40))),
    "masked_softmax": masked_scores,
    "attention_scores": lambda: attention(16, 32, fused_op=False),
    "attention_scores_odd": lambda: attention(197, 197, fused_op=False),
    "attention_scores_softmax": lambda: attention(16, 32, fused_op=True),
    "attention_whole": two_matmuls,
    "conv_softmax": conv_softmax,
    "layer_norm": lambda: layer_norm(16, 64),
    "layer_norm_batched": lambda: layer_norm(2, 9, 48),
    "layer_norm_odd": lambda: layer_norm(7, 197),
    "layer_norm_one_row": lambda: layer_norm(1, 128),
    "variance": lambda: variance(6, 64),
    "mean_last": lambda: reduced(relay.mean, -1, 16, 64),
    "mean_last_odd": lambda: reduced(relay.mean, -1, 3, 1001),
    "sum_first": lambda: reduced(relay.sum, 0, 16, 64),
    "sum_middle": lambda: reduced(relay.sum, 1, 4, 9, 16),
    "sum_outer_two": lambda: reduced(relay.sum, (0, 2), 4, 9, 16),
    "sum_inner_two": lambda: reduced(relay.sum, (1, 2), 4, 9, 16),
    "max_last": lambda: reduced(relay.max, -1, 4, 9, 16),
    "argmax": lambda: kernel(relay.argmax(parameter("x", 4, 37), axis=-1)),
    "mask": lambda: kernel(relay.greater(parameter("x", 4, 32), relay.const(0.0))),
    "by_mask": by_mask,
    "sum_all": lambda: reduced(relay.sum, None, 16, 20),
    "sum_and_negative": sum_and_negative,
    "softmax_of_a_vector": lambda: kernel(relay.nn.softmax(parameter("x", 40))),
    "scalar_output": scalar_output,
    "scalars": lambda: kernel(relay.exp(parameter("x") * parameter("y"))),
    "concat_last": lambda: concatenated(-1, after=False),
    "concat_first_relu": lambda: concatenated(0, after=True),
    "transpose": lambda: kernel(relay.transpose(relay.nn.relu(parameter("x", 3, 20, 17)), (0, 2, 1))),
    "transpose_heads": lambda: kernel(
        relay.transpose(relay.reshape(parameter("x", 1, 9, 64), (1, 9, 4, 16)), (0, 2, 1, 3))
    ),
    "layout_transform": lambda: kernel(relay.layout_transform(parameter("x", 1, 16, 7, 7), "NCHW", "NCHW8c")),
    "layout_transform_back": lambda: kernel(relay.layout_transform(parameter("x", 1, 2, 7, 7, 8), "NCHW8c", "NCHW")),
    "layout_transform_between": lambda: kernel(
        relay.nn.relu(relay.layout_transform(parameter("x", 1, 4, 5, 5, 8), "NCHW8c", "NCHW16c"))
    ),
    "split_last": lambda: split_parts(4, 48, axis=1),
    "split_first": lambda: split_parts(6, 5, 7, axis=0),
    "several_outputs": several_outputs,
    "strided_slice": lambda: kernel(relay.strided_slice(parameter("x", 8, 33), [1, 3], [8, 31], [2, 4])),
    "pad": lambda: kernel(relay.nn.pad(relay.nn.relu(parameter("x", 1, 3, 7, 7)), ((0, 0), (0, 0), (1, 1), (2, 1)))),
    "upsampling": lambda: kernel(relay.nn.upsampling(parameter("x", 1, 4, 6, 6), 2, 2)),
    "broadcast": lambda: kernel(parameter("x", 5, 1, 16) + parameter("y", 1, 9, 1)),
    "exp": lambda: unary(relay.exp, 4, 100),
    "erf": lambda: unary(relay.erf, 4, 37),
    "tanh": lambda: unary(relay.tanh, 3, 5, 7),
    "sigmoid": lambda: unary(relay.sigmoid, 1, 1000),
    "gelu": lambda: kernel(gelu(parameter("x", 2, 9, 32))),
    "power": lambda: kernel(relay.power(parameter("x", 4, 36), relay.const(2.0))),
    "exp_small": lambda: unary(relay.exp, 1),
    "add_int32": lambda: integers(relay.add),
    "max_product_int64": lambda: integers(lambda i, j: relay.maximum(i * j, j), "int64"),
    "less": lambda: integers(relay.less),
    "logical": lambda: integers(relay.logical_or, "bool"),
    "cast": lambda: kernel(relay.cast(parameter("x", 4, 30) * relay.const(10.0), "int32")),
    "where": lambda: kernel(relay.where(parameter("c", 4, 30, dtype="bool"), parameter("x", 4, 30), relay.const(0.0))),
    "int_sum": lambda: kernel(relay.sum(parameter("i", 6, 48, dtype="int32"), axis=1)),
    "float16": lambda: kernel(relay.exp(parameter("x", 4, 64, dtype="float16"))),
    "float64": lambda: kernel(relay.tanh(relay.sum(parameter("x", 4, 64, dtype="float64"), axis=1))),
    "embedding": embedding,
    "cumsum": lambda: kernel(relay.cumsum(parameter("x", 4, 30), axis=1)),
}
