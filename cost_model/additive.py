"""Milliseconds of a kernel as a sum over what it does, each part at a rate that was learned: the trees correct it.

Trees cannot add: of a kernel with ten divisions and twenty exponentials they know only kernels like it. A sum carries
over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from cost_model.dataset import COLUMNS
from cost_model.features import KINDS, Floats
from cost_model.roofline import rates

_COLUMN = {name: position for position, name in enumerate(COLUMNS)}
_SUMMED = ("conv2d", "conv2d_blocked", "depthwise", "dense", "dense_packed", "batch_matmul", "softmax", "sum",
           "max_pool", "average_pool")  # fmt: skip
_PRODUCTS = ("conv2d", "conv2d_blocked", "dense", "dense_packed", "batch_matmul")
_UNALIGNED = ("exponential", "divide", "libm", "cheap")
_WHOLE_VECTOR, _FEW_ROWS, _BLOCK = 8, 16, 15
_CACHES = (2.0**20, 2.0**24)  # bytes beyond which traffic costs more
_ROUNDS = 3  # of weighted least squares
_LEAST_MS = 1e-6


@dataclass(frozen=True)
class AdditiveModel:
    """What each part costs, over what the device's probes promise.

    Attributes
    ----------
    weights : float64 [2, parts]
        Of kernels in TE's schedules and in TIR's.
    """

    weights: Floats

    @staticmethod
    def fit(rows: Floats, ms: Floats) -> AdditiveModel:
        """Learn from kernels that worked: rows float64 [R, len(COLUMNS)], milliseconds float64 [R].

        Least squares with rates that are not negative, weighted such that errors count by their ratio, large ones less.
        """
        parts, is_tir = _parts(rows), rows[:, _COLUMN["is_tir"]] > 0
        return AdditiveModel(np.stack([_rates_of(parts[which], ms[which]) for which in (~is_tir, is_tir)]))

    def predict(self, rows: Floats) -> Floats:
        """Logarithm (base 2) of milliseconds: float64 [R]."""
        which = (rows[:, _COLUMN["is_tir"]] > 0).astype(np.int64)
        return np.asarray(np.log2(np.maximum((_parts(rows) * self.weights[which]).sum(axis=1), _LEAST_MS)))


def _rates_of(parts: Floats, ms: Floats) -> Floats:
    if not len(ms):
        return np.zeros(parts.shape[1])
    weight = 1.0 / ms
    for _ in range(_ROUNDS):
        found, _ = nnls(parts * weight[:, None], ms * weight, maxiter=100 * parts.shape[1])
        expected = np.maximum(parts @ found, _LEAST_MS)
        weight = 1.0 / np.sqrt(expected * ms * (1.0 + np.abs(np.log2(expected / ms))))
    return np.asarray(found)


def _parts(rows: Floats) -> Floats:
    """What a kernel does, in milliseconds at the speed of the probes: float64 [R, parts]."""
    rate = rates(rows)
    arithmetic, traffic = _arithmetic(rows), _traffic(rows)
    counts = [_amount(rows, name) for name in ("ops", "inputs", "outputs")]
    return np.column_stack(
        [
            *(amount * rate.ms_per_flop for amount in arithmetic),
            *(amount * rate.ms_per_byte for amount in traffic),
            *(amount * rate.launch_ms for amount in [*counts, np.ones(len(rows))]),
        ]
    )


def _arithmetic(rows: Floats) -> list[Floats]:
    """Elements of each class of ops, operations of each kind of anchor, and of those that vectors or threads miss."""
    flops, of_anchors = _amount(rows, "flops"), _amount(rows, "flops_anchors")
    narrow, alone = _amount(rows, "anchor_aligned") < _WHOLE_VECTOR, _amount(rows, "anchor_parallel") < 2
    kind = {name: of_anchors * rows[:, _COLUMN[f"anchor_{name}"]] for name in _SUMMED}
    few = _amount(rows, "anchor_rows") < _FEW_ROWS
    across = 1.0 - np.minimum(_amount(rows, "anchor_weights_innermost"), 1.0)
    strided = 1.0 - np.minimum(_amount(rows, "anchor_contiguous"), 1.0)
    return [
        *(_amount(rows, f"elements_{name}") for name in KINDS),
        *kind.values(),
        flops,
        flops * alone,
        _amount(rows, "elements_most") * narrow,
        *(_amount(rows, f"elements_{name}") * narrow for name in _UNALIGNED),
        _amount(rows, "elements_out") * strided,
        of_anchors / np.maximum(_amount(rows, "anchor_line_tile"), 1.0),
        of_anchors * (_amount(rows, "anchor_block_out") < _BLOCK),
        of_anchors * (_amount(rows, "anchor_stride") > 1),
        of_anchors * _amount(rows, "anchor_padded"),
        *(kind[name] * few for name in _PRODUCTS),
        *(kind[name] * across for name in _PRODUCTS),
    ]


def _traffic(rows: Floats) -> list[Floats]:
    read, written, inside = (_amount(rows, name) for name in ("bytes_in", "bytes_out", "bytes_inside"))
    alone = _amount(rows, "anchor_parallel") < 2
    moved = read + written + inside
    weights = _amount(rows, "bytes_largest_in")
    return [
        read,
        written,
        inside,
        (read + written) * alone,
        *(np.maximum(moved - cache, 0.0) for cache in _CACHES),
        *(weights * rows[:, _COLUMN[f"anchor_{name}"]] for name in _PRODUCTS),
    ]


def _amount(rows: Floats, name: str) -> Floats:
    """A feature that is a logarithm, log2(1 + x), as x."""
    return np.asarray(np.exp2(rows[:, _COLUMN[name]]) - 1.0)
