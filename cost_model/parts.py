"""What a kernel does, part by part, at the speed of its device's probes: what `cost_model.additive` has rates for.

A schedule that does badly on some shapes is a part of its own: no curve through the others would find it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cost_model.dataset import COLUMNS
from cost_model.features import KINDS, Floats
from cost_model.roofline import ms_per_byte, rates
from tvm_go.steps import ACCESS, LIBM, MULTIPLY_ADD, POLYNOMIAL, WORTH_THREADS

_COLUMN = {name: position for position, name in enumerate(COLUMNS)}
_PRODUCTS = ("conv2d", "conv2d_blocked", "dense", "dense_packed", "batch_matmul")
_WINDOWED = ("depthwise", "max_pool", "average_pool")
_REDUCTIONS = ("softmax", "sum", *_WINDOWED)
_UNALIGNED = ("exponential", "tanh", "erf", "divide", "libm", "cheap")
_COSTLY = ("exponential", "tanh", "erf", "libm")
_LANES, _WHOLE_VECTOR, _VECTOR = 4, 8, 16
_FEW_ROWS, _TWO_VECTORS, _ALIGNED, _WIDE, _DEEP = 16, 31, 33, 45, 250


def parts(rows: Floats) -> Floats:
    """What kernels do, in milliseconds: rows float64 [R, len(COLUMNS)] to float64 [R, parts]."""
    kernels = _Kernels(rows)
    rate = rates(rows)
    byte_ms = ms_per_byte(rows, kernels.amount("bytes_in") + kernels.amount("bytes_out"))
    arithmetic = [*_arithmetic(kernels), *_missed_by_vectors(kernels), *_poorly_scheduled(kernels), *_repeated(kernels)]
    return np.column_stack(
        [
            *(amount * rate.ms_per_flop for amount in arithmetic),
            *(amount * byte_ms for amount in _traffic(kernels)),
            *(amount * rate.launch_ms for amount in _launches(kernels)),
        ]
    )


@dataclass(frozen=True)
class _Kernels:
    """Features of R kernels as amounts: float64 [R] each.

    Attributes
    ----------
    rows : float64 [R, len(COLUMNS)]
    """

    rows: Floats

    def amount(self, name: str) -> Floats:
        """Of a feature that is a logarithm, log2(1 + x): x."""
        return np.asarray(np.exp2(self.rows[:, _COLUMN[name]]) - 1.0)

    def extent(self, name: str) -> Floats:
        """Of a loop of the anchor."""
        return np.round(self.amount(f"anchor_{name}"))

    def has(self, name: str) -> Floats:
        """1 where there are ops of a class, else 0."""
        return np.asarray(self.amount(f"ops_{name}") > 0.5, dtype=np.float64)

    def of(self, name: str) -> Floats:
        """Operations of the anchors, where they are of a class."""
        return np.asarray(self.anchors * self.rows[:, _COLUMN[f"anchor_{name}"]])

    @cached_property
    def anchors(self) -> Floats:
        """Operations of the anchors."""
        return self.amount("flops_anchors")

    @cached_property
    def most(self) -> Floats:
        """Elements of the largest value."""
        return self.amount("elements_most")

    @cached_property
    def within(self) -> Floats:
        """1 where a product's constant lies with its outputs along the innermost axis, else 0."""
        return np.minimum(self.amount("anchor_weights_innermost"), 1.0)

    @cached_property
    def inlined(self) -> Floats:
        """1 where something is computed before the anchor."""
        return np.asarray(self.amount("elements_before") > 0.5, dtype=np.float64)

    @cached_property
    def several(self) -> Floats:
        """1 where there are several outputs."""
        return np.asarray(self.amount("outputs") > 1.5, dtype=np.float64)


def _arithmetic(kernels: _Kernels) -> list[Floats]:
    """Elements of each class of ops, and operations of each kind of anchor, on one thread or more."""
    flops = kernels.amount("flops")
    return [
        *(kernels.amount(f"elements_{name}") for name in KINDS),
        *(kernels.of(name) for name in _REDUCTIONS),
        *(kernels.of(name) * kernels.within for name in _PRODUCTS),
        *(kernels.of(name) * (1.0 - kernels.within) for name in _PRODUCTS),
        flops,
        flops * (kernels.amount("anchor_parallel") < 2),
        kernels.anchors * kernels.amount("anchor_padded"),
        kernels.anchors * (kernels.extent("stride") > 1),
        kernels.of("depthwise") * (kernels.extent("stride") > 1),
    ]


def _missed_by_vectors(kernels: _Kernels) -> list[Floats]:
    """What is done lane by lane, or by vectors that are not full.

    TIR's schedules compute lane by lane if the outputs of a product that lie side by side are no multiple of four, and
    LLVM cuts TE's vectors into pieces if they are more than one vector and no whole number of them.
    """
    narrow = kernels.amount("anchor_aligned") < _WHOLE_VECTOR
    width, left = kernels.extent("width"), kernels.rows[:, _COLUMN["anchor_lanes_left"]]
    side_by_side = np.where(kernels.rows[:, _COLUMN["anchor_conv2d"]] > 0, kernels.extent("columns"), width)
    packed = kernels.rows[:, _COLUMN["anchor_dense_packed"]] > 0
    side_by_side = np.where(packed, kernels.extent("block_out"), side_by_side)
    lane_by_lane, in_pieces = side_by_side % _LANES != 0, _in_pieces(side_by_side)
    strided = 1.0 - np.minimum(kernels.amount("anchor_contiguous"), 1.0)
    return [
        kernels.most * narrow,
        *(kernels.amount(f"elements_{name}") * narrow for name in _UNALIGNED),
        kernels.most * left,
        kernels.most * _in_pieces(width),
        kernels.amount("elements_out") * strided,
        kernels.amount("elements_transpose") * strided,
        kernels.anchors * (kernels.extent("block_out") < _VECTOR),
        *(kernels.of(name) * (left > 0) for name in _PRODUCTS),
        *(kernels.of(name) * lane_by_lane for name in (*_PRODUCTS, *_WINDOWED)),
        kernels.of("batch_matmul") * lane_by_lane * (kernels.extent("batch") <= 1),
        *(kernels.of(name) * in_pieces for name in (*_PRODUCTS, "depthwise")),
        *(kernels.of(name) * (kernels.extent("read_width") % _LANES != 0) for name in ("sum", *_WINDOWED[1:])),
    ]


def _poorly_scheduled(kernels: _Kernels) -> list[Floats]:
    """Products of shapes that TVM's schedules have no good tiles for."""
    few = kernels.extent("rows") < _FEW_ROWS
    block = kernels.extent("block_out")
    aligned = kernels.extent("aligned") < _ALIGNED
    conv2d, batch_matmul = (kernels.of(name) * kernels.within for name in ("conv2d", "batch_matmul"))
    packed = kernels.of("dense_packed") * (block < _TWO_VECTORS)
    return [
        kernels.anchors / np.maximum(kernels.extent("line_tile"), 1.0),
        *(kernels.of(name) * few for name in _PRODUCTS),
        conv2d * aligned,
        conv2d * aligned * (kernels.extent("columns") > _WIDE),
        batch_matmul * (kernels.extent("reduce") > _DEEP),
        packed,
        packed * (kernels.extent("rows") % _LANES != 0),
        packed * few * (block <= _VECTOR),  # one sum at a time: each step waits for the one before
    ]


def _repeated(kernels: _Kernels) -> list[Floats]:
    """What is computed more than once.

    For each output what they share; for each place of a window what is before it; for each part of a concatenation
    that is not the last op a choice at each element.
    """
    concatenated = kernels.amount("elements_concatenate")
    goes_on = concatenated * (kernels.amount("bytes_inside") >= 4 * concatenated)
    fused = kernels.amount("ops") > 1.5
    return [
        kernels.amount("flops") * kernels.several,
        np.sum([kernels.amount(f"elements_{name}") for name in _COSTLY], axis=0) * kernels.several,
        *(kernels.of(name) * kernels.several for name in _PRODUCTS),
        *(kernels.of(name) * kernels.inlined for name in ("conv2d", "conv2d_blocked", *_WINDOWED)),
        *(kernels.of(name) * kernels.several * kernels.inlined for name in ("conv2d_blocked", "dense_packed")),
        *(kernels.of(name) * kernels.has("layout_transform") for name in _PRODUCTS),
        *(kernels.most * fused * kernels.has(name) for name in ("layout_transform", "transpose", "concatenate")),
        goes_on,
        goes_on * kernels.amount("inputs"),
    ]


def _traffic(kernels: _Kernels) -> list[Floats]:
    read, written, inside = (kernels.amount(f"bytes_{name}") for name in ("in", "out", "inside"))
    weights = kernels.amount("bytes_largest_in")
    return [
        read,
        written,
        inside,
        (read + written) * (kernels.amount("anchor_parallel") < 2),
        *(weights * kernels.rows[:, _COLUMN[f"anchor_{name}"]] for name in _PRODUCTS),
    ]


def _launches(kernels: _Kernels) -> list[Floats]:
    """Of kernels, and of threads: by TVM's schedules, and by ours."""
    counts = [kernels.amount(name) for name in ("ops", "inputs", "outputs")]
    shared_out = [kernels.amount("anchor_parallel") >= 2, _steps(kernels) >= WORTH_THREADS]
    return [*counts, np.ones(len(kernels.rows)), *(each.astype(np.float64) for each in shared_out)]


def _steps(kernels: _Kernels) -> Floats:
    """About what our schedules take a kernel for when they decide on threads, as `Block.steps` counts."""
    polynomials = np.sum([kernels.amount(f"elements_{name}") for name in ("exponential", "tanh", "erf")], axis=0)
    return np.asarray(
        ACCESS * kernels.most
        + POLYNOMIAL * polynomials
        + LIBM * kernels.amount("elements_libm")
        + MULTIPLY_ADD / 2 * kernels.anchors
    )


def _in_pieces(extent: Floats) -> Floats:
    """1 where so many lanes are more than one vector and no whole number of them."""
    return np.asarray((extent > _VECTOR) & (extent % _VECTOR != 0), dtype=np.float64)
