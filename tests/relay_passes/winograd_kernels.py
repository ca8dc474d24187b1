"""Kernels with a convolution by Winograd's filtering, by name."""

from __future__ import annotations

from tvm import relay

from tests.cost_model.kernels import parameter
from tests.relay_passes.one_kernel import Make, kernel


def winograd(
    channels: int, out: int, size: int, *, tile: int = 4, block: int = 8, batch: int = 1, pad: int = 1
) -> tuple[relay.Expr, relay.Expr]:
    """A 3x3 convolution by Winograd's filtering, and its image."""
    x = parameter("x", batch, channels // block, size, size, block)
    conv = relay.nn.contrib_conv2d_winograd_without_weight_transform(
        x,
        parameter("w", tile + 2, tile + 2, out // block, channels // block, block, block),
        tile_size=tile,
        channels=out,
        kernel_size=(3, 3),
        padding=(pad, pad),
        data_layout=f"NCHW{block}c",
        out_layout=f"NCHW{block}c",
    )
    return conv, x


def winograd_residual(channels: int, size: int) -> relay.Function:
    """Bias, what comes past the convolution, ReLU: all behind the transform of its results."""
    conv, x = winograd(channels, channels, size)
    return kernel(relay.nn.relu(conv + parameter("b", 1, channels // 8, 1, 1, 8) + x))


def winograd_to_plain(channels: int, size: int) -> relay.Function:
    """A layout behind it, in which tiles lie along the last axis."""
    conv, _ = winograd(channels, channels, size)
    return kernel(relay.nn.relu(relay.layout_transform(conv, "NCHW8c", "NCHW")))


def winograd_from_plain(channels: int, size: int) -> relay.Function:
    x = relay.nn.relu(relay.layout_transform(parameter("x", 1, channels, size, size), "NCHW", "NCHW8c"))
    conv, image = winograd(channels, channels, size)
    return kernel(relay.bind(conv, {image: x}))


def winograd_twice(channels: int, size: int) -> relay.Function:
    """Its result is an output, and so is what follows."""
    conv, _ = winograd(channels, channels, size)
    return kernel(relay.Tuple([conv, relay.tanh(conv) * conv]))


WINOGRAD_KERNELS: dict[str, Make] = {
    "winograd": lambda: kernel(winograd(16, 24, 16)[0]),
    "winograd_2": lambda: kernel(winograd(24, 16, 12, tile=2)[0]),
    "winograd_odd": lambda: kernel(winograd(16, 16, 13)[0]),
    "winograd_2_odd_unpadded": lambda: kernel(winograd(16, 16, 9, tile=2, pad=0)[0]),
    "winograd_batch": lambda: kernel(winograd(16, 16, 7, batch=3)[0]),
    "winograd_one_tile": lambda: kernel(winograd(16, 32, 3)[0]),
    "winograd_block_16": lambda: kernel(winograd(32, 32, 10, block=16)[0]),
    "winograd_block_4": lambda: kernel(winograd(8, 12, 10, block=4)[0]),
    "winograd_residual": lambda: winograd_residual(16, 14),
    "winograd_to_plain": lambda: winograd_to_plain(16, 14),
    "winograd_from_plain": lambda: winograd_from_plain(16, 14),
    "winograd_twice": lambda: winograd_twice(16, 10),
}
