"""FLOPs of operators against counts by hand."""

from __future__ import annotations

import pytest
from tvm import relay

from relay_passes import extract
from tests.relay_passes.test_extract import typed


def flops(body: relay.Expr) -> float:
    return float(extract(typed(body)).flops[-1])


def image(channels: int = 8, size: int = 10) -> relay.Var:
    return relay.var("x", shape=(2, channels, size, size))


def weight(*shape: int) -> relay.Var:
    return relay.var("w", shape=shape)


def conv2d(data: relay.Expr, kernel: relay.Expr, **attrs: object) -> relay.Expr:
    return relay.nn.conv2d(data, kernel, padding=(1, 1), **attrs)


def test_conv2d() -> None:
    expected = 2 * (2 * 16 * 10 * 10) * (8 * 3 * 3)
    assert flops(conv2d(image(), weight(16, 8, 3, 3), channels=16, kernel_size=(3, 3))) == expected
    assert flops(conv2d(image(), weight(16, 8, 3, 3))) == expected  # without the optional attributes


def test_strided_conv2d_counts_its_outputs() -> None:
    assert flops(conv2d(image(), weight(16, 8, 3, 3), strides=(2, 2))) == 2 * (2 * 16 * 5 * 5) * (8 * 3 * 3)


def test_grouped_and_depthwise_conv2d() -> None:
    grouped = conv2d(image(), weight(16, 2, 3, 3), groups=4, channels=16, kernel_size=(3, 3))
    assert flops(grouped) == 2 * (2 * 16 * 10 * 10) * (2 * 3 * 3)
    depthwise = conv2d(image(), weight(8, 1, 3, 3), groups=8, channels=8, kernel_size=(3, 3))
    assert flops(depthwise) == 2 * (2 * 8 * 10 * 10) * (3 * 3)


def test_conv2d_in_other_layouts() -> None:
    x = relay.var("x", shape=(2, 10, 10, 8))
    channels_last = conv2d(x, weight(3, 3, 8, 16), data_layout="NHWC", kernel_layout="HWIO")
    assert flops(channels_last) == 2 * (2 * 16 * 10 * 10) * (8 * 3 * 3)
    depthwise = conv2d(x, weight(3, 3, 8, 1), groups=8, channels=8, data_layout="NHWC", kernel_layout="HWOI")
    assert flops(depthwise) == 2 * (2 * 8 * 10 * 10) * (3 * 3)
    x = relay.var("x", shape=(2, 2, 10, 10, 4))
    blocked = relay.nn.contrib_conv2d_nchwc(
        x,
        weight(4, 2, 3, 3, 4, 4),
        padding=(1, 1, 1, 1),
        kernel_size=(3, 3),
        channels=16,
        data_layout="NCHW4c",
        kernel_layout="OIHW4i4o",
        out_layout="NCHW4c",
    )
    assert flops(blocked) == 2 * (2 * 16 * 10 * 10) * (8 * 3 * 3)


def test_winograd_counts_products_of_whole_tiles() -> None:
    x = relay.var("x", shape=(2, 2, 10, 9, 4))
    body = relay.nn.contrib_conv2d_winograd_without_weight_transform(
        x,
        weight(6, 6, 4, 2, 4, 4),
        tile_size=4,
        padding=(1, 1, 1, 1),
        kernel_size=(3, 3),
        channels=16,
        data_layout="NCHW4c",
        out_layout="NCHW4c",
    )
    assert flops(body) == 2 * (2 * 3 * 3) * (6 * 6 * 8 * 16)


def test_conv1d_and_conv3d() -> None:
    x = relay.var("x", shape=(1, 4, 20))
    assert flops(relay.nn.conv1d(x, weight(6, 4, 3), kernel_size=3, channels=6)) == 2 * (6 * 18) * (4 * 3)
    x = relay.var("x", shape=(1, 4, 6, 6, 6))
    assert flops(relay.nn.conv3d(x, weight(5, 4, 3, 3, 3))) == 2 * (5 * 4**3) * (4 * 27)


@pytest.mark.parametrize("groups", [1, 2])
def test_conv2d_transpose_counts_its_inputs(groups: int) -> None:
    w = weight(8, 6 // groups, 4, 4)
    body = relay.nn.conv2d_transpose(image(), w, channels=6, kernel_size=(4, 4), strides=(2, 2), groups=groups)
    assert flops(body) == 2 * (2 * 8 * 10 * 10) * (6 // groups * 4 * 4)


def test_dense_plain_and_packed() -> None:
    x = relay.var("x", shape=(3, 32))
    assert flops(relay.nn.dense(x, weight(20, 32))) == 2 * 3 * 20 * 32
    packed = relay.nn.contrib_dense_pack(x, weight(5, 32, 4), "NC4n", units=20)
    assert flops(packed) == 2 * 3 * 20 * 32


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_batch_matmul(transpose_a: bool, transpose_b: bool) -> None:
    x = relay.var("x", shape=(2, 7, 5) if transpose_a else (2, 5, 7))
    y = relay.var("y", shape=(2, 3, 7) if transpose_b else (2, 7, 3))
    body = relay.nn.batch_matmul(x, y, transpose_a=transpose_a, transpose_b=transpose_b)
    assert flops(body) == 2 * 2 * 5 * 7 * 3


def test_pooling() -> None:
    assert flops(relay.nn.max_pool2d(image(), pool_size=(2, 2), strides=(2, 2))) == 2 * 8 * 5 * 5 * 4
    assert flops(relay.nn.global_avg_pool2d(image())) == 2 * 8 * 10 * 10
    assert flops(relay.nn.adaptive_avg_pool2d(image(), (5, 5))) == 2 * 8 * 10 * 10


def test_reductions_count_their_inputs() -> None:
    assert flops(relay.sum(image(), axis=1)) == flops(relay.argmax(image(), axis=1)) == 2 * 8 * 10 * 10


def test_softmax_and_elementwise() -> None:
    assert flops(relay.nn.softmax(image())) == 5 * 2 * 8 * 10 * 10
    assert flops(relay.tanh(image())) == 2 * 8 * 10 * 10


@pytest.mark.parametrize("op", [relay.nn.batch_flatten, relay.transpose, relay.squeeze, relay.copy])
def test_moving_data_counts_nothing(op: object) -> None:
    assert flops(op(image())) == 0  # type: ignore[operator]
