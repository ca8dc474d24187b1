"""Fold a large graph into blocks: runs of its kernels, cut where few tensors are alive."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64

WHOLE = 320  # kernels up to which a graph is drawn without blocks
_MOST = 60  # boxes that one picture should hold, about
_EVEN = 4.0  # what a run of an odd size costs, beside deviations of the tensors that a cut crosses
_ALIKE = 0.9  # of two stretches' kernels: so many must be alike for a period
_OFF_PERIOD = 4.0  # tensors that a cut inside of a repeated layer counts as, beside those that it crosses


def levels(num_kernels: int, source: Int32, reader: Int32, kind: Int32) -> tuple[Int32, ...]:
    """Blocks of a graph whose kernels stand in execution order, the coarsest level first.

    A run of a topological order can always be one box: no edge leads back into it. Cuts are cheap where few tensors
    cross, and at the period of a graph whose layers repeat, so that a block is a whole number of layers where it can.

    Parameters
    ----------
    source, reader : int32 [E]
        Kernels that make and read each tensor, ``source < reader``.
    kind : int32 [K]
        What a kernel is; equal for kernels that look alike.

    Returns
    -------
    tuple of int32 arrays
        As in :class:`tvm_go.report.scene.Scene`.
    """
    if num_kernels <= WHOLE:
        return ()
    depth = math.ceil(math.log(num_kernels) / math.log(_MOST))
    size = round(num_kernels ** (1 / depth))
    cost = _alive(num_kernels, source, reader).astype(np.float64)
    period = _period(kind, 2 * size)
    if period:
        phase = np.argmin([cost[start::period].mean() for start in range(1, period + 1)]) + 1
        on_period = (np.arange(num_kernels + 1) - phase) % period == 0
        cost += np.where(on_period, 0.0, _OFF_PERIOD)
    found: list[Int32] = []
    positions = np.arange(num_kernels + 1, dtype=np.int32)
    for left in range(depth, 1, -1):
        inner = cost[positions]
        gain = (inner - inner.mean()) / (inner.std() or 1.0)  # around 0: no bias to few cuts, nor to many
        positions = positions[_cut(gain, round((len(positions) - 1) ** (1 / left)))]
        found.insert(0, positions)
    return tuple(found)


def _alive(num_kernels: int, source: Int32, reader: Int32) -> Int64:
    """Kernels before each cut whose output is read behind it: int64 [K + 1]."""
    last = np.arange(num_kernels)
    np.maximum.at(last, source, reader)
    steps = np.zeros(num_kernels + 2, dtype=np.int64)
    np.add.at(steps, np.arange(num_kernels) + 1, 1)
    np.add.at(steps, last + 1, -1)
    return np.cumsum(steps)[: num_kernels + 1]


def _period(kind: Int32, longest: int) -> int:
    """The smallest distance, of 4 kernels or more, at which kernels look alike; 0 if there is none."""
    for lag in range(4, min(longest, len(kind) // 3) + 1):
        if np.mean(kind[lag:] == kind[:-lag]) >= _ALIKE:
            return lag
    return 0


@njit(cache=True)
def _cut(cost: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Positions of the cheapest cuts into runs of two thirds to one and a half of a size, the ends among them."""
    count = len(cost) - 1
    best = np.full(count + 1, np.inf)
    before = np.zeros(count + 1, dtype=np.int64)
    best[0] = 0.0
    for stop in range(1, count + 1):
        for length in range(1, min(3 * size // 2, stop) + 1):
            if length < 2 * size // 3 and stop != count and stop != length:
                continue
            off = (length - size) / size
            total = best[stop - length] + (cost[stop] if stop < count else 0.0) + _EVEN * off * off
            if total < best[stop]:
                best[stop], before[stop] = total, stop - length
    cuts = [count]
    while cuts[-1] > 0:
        cuts.append(before[cuts[-1]])
    return np.array(cuts[::-1])
