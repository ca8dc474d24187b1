"""What a kernel takes at best: its arithmetic, its traffic and its launch at the speed of the device's probes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cost_model.dataset import COLUMNS, PROBE_STEPS, PROBES
from cost_model.features import Floats

_FLOAT_BYTES = 4
_USUAL_MS = {"launch": 0.0005, "compute": 0.4, "cache 1": 0.001, "cache 2": 0.008, "cache 3": 0.3, "memory": 12.0}
"""Of the probes, where one was not measured: as of some CPU of these days."""
_TRAFFIC = ("cache 1", "cache 2", "cache 3", "memory")
_MOVED = np.log2([2 * _FLOAT_BYTES * math.prod(PROBES[name]) for name in _TRAFFIC])  # bytes, reads and writes


class Rates(NamedTuple):
    """Of the device of each row: float64 [R] each."""

    ms_per_flop: Floats
    launch_ms: Floats


def rates(rows: Floats) -> Rates:
    """Speeds of the devices of rows: float64 [R, len(COLUMNS)]."""
    return Rates(
        np.exp2(_probe(rows, "compute")) / (2.0 * PROBE_STEPS * math.prod(PROBES["compute"])),
        np.exp2(_probe(rows, "launch")),
    )


def ms_per_byte(rows: Floats, moved: Floats) -> Floats:
    """Milliseconds of each byte on the devices of rows if so many are moved, float64 [R], between what probes take."""
    probed = np.stack([_probe(rows, name) for name in _TRAFFIC], axis=1) - _MOVED
    amount = np.clip(np.log2(np.maximum(moved, 1.0)), _MOVED[0], _MOVED[-1])
    after = np.clip(np.searchsorted(_MOVED, amount), 1, len(_MOVED) - 1)
    share = (amount - _MOVED[after - 1]) / (_MOVED[after] - _MOVED[after - 1])
    row = np.arange(len(rows))
    return np.asarray(np.exp2(probed[row, after - 1] * (1.0 - share) + probed[row, after] * share))


def roofline(rows: Floats) -> Floats:
    """Logarithm (base 2) of the least milliseconds: float64 [R]."""
    rate = rates(rows)
    flops, read, written = (np.exp2(rows[:, COLUMNS.index(name)]) - 1 for name in ("flops", "bytes_in", "bytes_out"))
    moved = read + written
    return np.asarray(np.log2(rate.ms_per_flop * flops + ms_per_byte(rows, moved) * moved + rate.launch_ms))


def _probe(rows: Floats, name: str) -> Floats:
    """Logarithm (base 2) of the milliseconds of a probe: float64 [R]."""
    return np.nan_to_num(rows[:, COLUMNS.index(f"probe_{name}")], nan=math.log2(_USUAL_MS[name]))
