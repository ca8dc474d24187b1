"""Milliseconds of a kernel as a sum over what it does, each part at a rate that was learned: the trees correct it.

Trees cannot add: of a kernel with ten divisions and twenty exponentials they know only kernels like it. A sum carries
over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from cost_model.dataset import COLUMNS, PROBES
from cost_model.features import KINDS, Floats
from cost_model.roofline import ms_per_byte, rates
from tvm_go.steps import ACCESS, LIBM, MULTIPLY_ADD, POLYNOMIAL, WORTH_THREADS

_COLUMN = {name: position for position, name in enumerate(COLUMNS)}
_SUMMED = ("conv2d", "conv2d_blocked", "depthwise", "dense", "dense_packed", "batch_matmul", "softmax", "sum",
           "max_pool", "average_pool")  # fmt: skip
_PRODUCTS = ("conv2d", "conv2d_blocked", "dense", "dense_packed", "batch_matmul")
_UNALIGNED = ("exponential", "tanh", "erf", "divide", "libm", "cheap")
_COSTLY = ("exponential", "tanh", "erf", "libm")
_WHOLE_VECTOR, _VECTOR, _FEW_ROWS, _BLOCK = 8, 16, 16, 15
_ENOUGH = 500  # kernels, to learn rates of a device from
_ROUNDS = 3  # of weighted least squares
_LEAST_MS = 1e-6


@dataclass(frozen=True)
class AdditiveModel:
    """What each part costs, over what the device's probes promise, on each of D devices; probes do not tell all.

    A kernel on another device counts as on that which is nearest by its probes.

    Attributes
    ----------
    devices : float64 [D, probes]
        Logarithms (base 2) of what probes take.
    weights : float64 [D, 2, parts]
        Of kernels in TE's schedules and in TIR's.
    """

    devices: Floats
    weights: Floats

    @staticmethod
    def fit(rows: Floats, ms: Floats) -> AdditiveModel:
        """Learn from kernels that worked: rows float64 [R, len(COLUMNS)], milliseconds float64 [R].

        Least squares with rates that are not negative, weighted such that errors count by their ratio, large ones less.
        A device with few kernels has the rates of all together.
        """
        parts, is_tir = _parts(rows), rows[:, _COLUMN["is_tir"]] > 0
        devices, device = np.unique(_probes(rows), axis=0, return_inverse=True)
        of_all = _by_lowering(parts, is_tir, ms)
        weights = [
            _by_lowering(parts[own], is_tir[own], ms[own]) if own.sum() >= _ENOUGH else of_all
            for own in (device == number for number in range(len(devices)))
        ]
        return AdditiveModel(devices, np.stack(weights))

    def predict(self, rows: Floats) -> Floats:
        """Logarithm (base 2) of milliseconds: float64 [R]."""
        which = (rows[:, _COLUMN["is_tir"]] > 0).astype(np.int64)
        far = np.abs(_probes(rows)[:, None] - self.devices).sum(axis=2)  # [R, D]
        weights = self.weights[far.argmin(axis=1), which]
        return np.asarray(np.log2(np.maximum((_parts(rows) * weights).sum(axis=1), _LEAST_MS)))


def _probes(rows: Floats) -> Floats:
    return np.nan_to_num(rows[:, [_COLUMN[f"probe_{name}"] for name in PROBES]])


def _by_lowering(parts: Floats, is_tir: NDArray[np.bool_], ms: Floats) -> Floats:
    return np.stack([_rates_of(parts[which], ms[which]) for which in (~is_tir, is_tir)])


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
    rate, moved = rates(rows), _amount(rows, "bytes_in") + _amount(rows, "bytes_out")
    byte_ms = ms_per_byte(rows, moved)
    return np.column_stack(
        [
            *(amount * rate.ms_per_flop for amount in _arithmetic(rows)),
            *(amount * byte_ms for amount in _traffic(rows)),
            *(amount * rate.launch_ms for amount in _launches(rows)),
        ]
    )


def _arithmetic(rows: Floats) -> list[Floats]:
    """Elements of each class of ops, operations of each kind of anchor, and of those that vectors or threads miss."""
    flops, of_anchors, most = (_amount(rows, name) for name in ("flops", "flops_anchors", "elements_most"))
    elements = {name: _amount(rows, f"elements_{name}") for name in KINDS}
    kind = {name: of_anchors * rows[:, _COLUMN[f"anchor_{name}"]] for name in _SUMMED}
    narrow, alone = _amount(rows, "anchor_aligned") < _WHOLE_VECTOR, _amount(rows, "anchor_parallel") < 2
    few = _amount(rows, "anchor_rows") < _FEW_ROWS
    block = _amount(rows, "anchor_block_out")
    across = 1.0 - np.minimum(_amount(rows, "anchor_weights_innermost"), 1.0)
    strided = 1.0 - np.minimum(_amount(rows, "anchor_contiguous"), 1.0)
    left_over = rows[:, _COLUMN["anchor_lanes_left"]] > 0
    fused, several = _amount(rows, "ops") > 1.5, _amount(rows, "outputs") > 1.5
    return [
        *elements.values(),
        *kind.values(),
        flops,
        flops * alone,
        most * narrow,
        *(elements[name] * narrow for name in _UNALIGNED),
        _amount(rows, "elements_out") * strided,
        of_anchors / np.maximum(_amount(rows, "anchor_line_tile"), 1.0),
        of_anchors * (block < _BLOCK),
        of_anchors * (_amount(rows, "anchor_stride") > 1),
        of_anchors * _amount(rows, "anchor_padded"),
        *(kind[name] * few for name in _PRODUCTS),
        *(kind[name] * across for name in _PRODUCTS),
        *(kind[name] * left_over for name in _PRODUCTS),
        kind["dense_packed"] * few * (block <= _VECTOR),  # one sum at a time: each step waits for the one before
        flops * several,  # what outputs share is computed for each of them
        np.sum([elements[name] for name in _COSTLY], axis=0) * several,
        *(most * fused * (_amount(rows, f"ops_{name}") > 0.5) for name in ("layout_transform", "transpose")),
    ]


def _traffic(rows: Floats) -> list[Floats]:
    read, written, inside = (_amount(rows, name) for name in ("bytes_in", "bytes_out", "bytes_inside"))
    alone = _amount(rows, "anchor_parallel") < 2
    weights = _amount(rows, "bytes_largest_in")
    return [
        read,
        written,
        inside,
        (read + written) * alone,
        *(weights * rows[:, _COLUMN[f"anchor_{name}"]] for name in _PRODUCTS),
    ]


def _launches(rows: Floats) -> list[Floats]:
    """Of kernels, and of threads: by TVM's schedules, and by ours."""
    counts = [_amount(rows, name) for name in ("ops", "inputs", "outputs")]
    shared_out = [_amount(rows, "anchor_parallel") >= 2, _steps(rows) >= WORTH_THREADS]
    return [*counts, np.ones(len(rows)), *(each.astype(np.float64) for each in shared_out)]


def _steps(rows: Floats) -> Floats:
    """About what our schedules take a kernel for when they decide on threads, as `Block.steps` counts."""
    polynomials = np.sum([_amount(rows, f"elements_{name}") for name in ("exponential", "tanh", "erf")], axis=0)
    return np.asarray(
        ACCESS * _amount(rows, "elements_most")
        + POLYNOMIAL * polynomials
        + LIBM * _amount(rows, "elements_libm")
        + MULTIPLY_ADD / 2 * _amount(rows, "flops_anchors")
    )


def _amount(rows: Floats, name: str) -> Floats:
    """A feature that is a logarithm, log2(1 + x), as x."""
    return np.asarray(np.exp2(rows[:, _COLUMN[name]]) - 1.0)
