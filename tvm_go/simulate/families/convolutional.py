"""Convolutional families: WaveNet, Inception, and cells with two hidden states in the manner of AmoebaNet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tvm_go.graph import Int64
from tvm_go.simulate.families.fit import fitted, micro_batches, repeats_for
from tvm_go.simulate.families.layers import classifier, concat, conv, conv_unit, pointwise, source
from tvm_go.simulate.families.stack import Back, Cell, Stack
from tvm_go.simulate.sized_graph import SizedGraph

_CLASSES = 1000
_STAGES = 3


def wavenet(*, layers: int, chunks: int, batch: int, chunk: int, channels: int) -> SizedGraph:
    """Gated causal convolutions over chunks of sound (van den Oord et al., "WaveNet", 2016).

    A dilated convolution of width two reads its own chunk and, for what lies before it, the chunk before.
    """
    stack, samples, size = Stack("wavenet"), batch * chunk, batch * chunk * channels
    front = (source("sound", samples), conv("first", samples, 1, channels, 2, "sound"))
    first = stack.add(front, steps=chunks)["first"][0]
    below, before = Back("out", layers=1), Back("out", layers=1, steps=1)
    layer = (
        conv("filter", samples, channels, channels, 2, below, before),
        conv("gate", samples, channels, channels, 2, below, before),
        pointwise("filtered", "tanh", size, "filter", flops_per_element=4.0),
        pointwise("opened", "sigmoid", size, "gate", flops_per_element=4.0),
        pointwise("gated", "multiply", size, "filtered", "opened"),
        conv("residual", samples, channels, channels, 1, "gated"),
        pointwise("out", "add", size, "residual", below),
        conv("skip", samples, channels, channels, 1, "gated"),
        pointwise("skips", "add", size, "skip", Back("skips", layers=1)),
    )
    top = stack.add(layer, layers=layers, steps=chunks, below={"out": (first,)})["skips"][-1]
    head = (
        pointwise("rectified", "relu", size, "top"),
        conv("mixed", samples, channels, channels, 1, "rectified"),
        pointwise("rectified again", "relu", size, "mixed"),
        *classifier(samples, channels, 256, "rectified again"),
    )
    stack.add(head, steps=chunks, given={"top": top})
    return stack.graph()


def inception_cell(pixels: float, channels: int) -> Cell:
    """Four branches that are concatenated (Szegedy et al., "Rethinking the Inception architecture", CVPR 2016)."""
    branch, below = channels // 4, Back("out", layers=1)
    return (
        *conv_unit("one", pixels, channels, branch, 1, below),
        *conv_unit("two narrow", pixels, channels, branch, 1, below),
        *conv_unit("two", pixels, branch, branch, 25, "two narrow"),
        *conv_unit("three narrow", pixels, channels, branch, 1, below),
        *conv_unit("three half", pixels, branch, branch, 9, "three narrow"),
        *conv_unit("three", pixels, branch, branch, 9, "three half"),
        pointwise("pooled", "pool", pixels * channels, below, flops_per_element=9.0),
        *conv_unit("four", pixels, channels, branch, 1, "pooled"),
        concat("out", pixels * channels, ("one", "two", "three", "four")),
    )


def amoebanet_cell(pixels: float, channels: int) -> Cell:
    """Five sums of two branches over two hidden states (after Real et al., AAAI 2019; the wiring is our own)."""
    size = pixels * channels

    def separable(name: str, window: int, read: str) -> Cell:
        deep = conv(f"{name} deep", pixels, 1, channels, window, read, op_type="depthwise_conv")
        return (
            deep,
            conv(f"{name} point", pixels, channels, channels, 1, f"{name} deep"),
            pointwise(name, "batch_norm", size, f"{name} point", flops_per_element=2.0),
        )

    def pool(name: str, read: str) -> Cell:
        return (pointwise(name, "pool", size, read, flops_per_element=9.0),)

    return (
        *conv_unit("near", pixels, channels, channels, 1, Back("out", layers=1)),
        *conv_unit("far", pixels, channels, channels, 1, Back("out", layers=2)),
        *separable("a left", 25, "near"),
        *pool("a right", "far"),
        pointwise("a", "add", size, "a left", "a right"),
        *pool("b left", "near"),
        pointwise("b", "add", size, "b left", "far"),
        *separable("c left", 9, "a"),
        pointwise("c", "add", size, "c left", "near"),
        *separable("d left", 9, "far"),
        *pool("d right", "b"),
        pointwise("d", "add", size, "d left", "d right"),
        *separable("e left", 9, "c"),
        pointwise("e", "add", size, "e left", "d"),
        pointwise("joined", "concat", 3 * size, "c", "d", "e", flops_per_element=0.0),
        conv("out", pixels, 3 * channels, channels, 1, "joined"),
    )


def staged(
    name: str,
    cell: Callable[[float, int], Cell],
    *,
    cells: int,
    stem: int,
    micro_batches: int,
    batch: int,
    channels: int,
) -> SizedGraph:
    """A stem, then three stages of cells; each next stage has half the width and height and twice the channels."""
    stack, pixels = Stack(name), float(batch * 35 * 35)
    image = stack.add((source("image", 16 * pixels * 3),), steps=micro_batches)["image"][0]
    first = stack.add(conv_unit("out", pixels, 3, channels, 9, "image"), steps=micro_batches, given={"image": image})
    unit = conv_unit("out", pixels, channels, channels, 9, Back("out", layers=1))
    below = {"out": (first["out"][0],)}
    if stem > 1:
        below = {"out": (stack.add(unit, layers=stem - 1, steps=micro_batches, below=below)["out"][-1],)}
    states = [below["out"][0]] * 2  # the last output and the one before it
    for stage in range(_STAGES):
        if stage:
            pixels, channels = pixels / 4, channels * 2
            states = [_reduced(stack, state, pixels, channels) for state in states]
        count = (cells + _STAGES - 1 - stage) // _STAGES
        if count:
            outs = stack.add(cell(pixels, channels), layers=count, steps=micro_batches, below={"out": states})["out"]
            states = [*outs[::-1][:2], *states][:2]
    head = (
        pointwise("pooled", "pool", batch * channels, "top", flops_per_element=pixels / batch),
        *classifier(batch, channels, _CLASSES, "pooled"),
    )
    stack.add(head, steps=micro_batches, given={"top": states[0]})
    return stack.graph()


def _reduced(stack: Stack, state: Int64, pixels: float, channels: int) -> Int64:
    unit = conv_unit("out", pixels, channels // 2, channels, 9, "state")
    return stack.add(unit, steps=len(state), given={"state": state})["out"][0]


def draw_wavenet(num_ops: int, rng: np.random.Generator) -> SizedGraph:
    """A WaveNet of about `num_ops` ops; channels and batch are drawn."""
    batch, channels = int(rng.choice((4, 8, 16))), int(rng.choice((64, 128, 256)))
    chunks = micro_batches(num_ops, 100)
    return fitted(
        num_ops, lambda layers: wavenet(layers=layers, chunks=chunks, batch=batch, chunk=1024, channels=channels)
    )


def draw_inception(num_ops: int, rng: np.random.Generator) -> SizedGraph:
    """Inception cells, about `num_ops` ops; channels and batch are drawn."""
    return _draw_staged("inception", inception_cell, num_ops, rng)


def draw_amoebanet(num_ops: int, rng: np.random.Generator) -> SizedGraph:
    """Cells with two hidden states, about `num_ops` ops; channels and batch are drawn."""
    return _draw_staged("amoebanet", amoebanet_cell, num_ops, rng)


def _draw_staged(name: str, cell: Callable[[float, int], Cell], num_ops: int, rng: np.random.Generator) -> SizedGraph:
    batch, channels = int(rng.choice((8, 16, 32))), int(rng.choice((128, 192, 256)))
    shared = micro_batches(num_ops, 150)

    def build(cells: int, stem: int) -> SizedGraph:
        return staged(name, cell, cells=cells, stem=stem, micro_batches=shared, batch=batch, channels=channels)

    cells = repeats_for(num_ops, lambda cells: build(cells, 1))
    return fitted(num_ops, lambda stem: build(cells, stem))
