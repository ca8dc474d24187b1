"""What a kernel takes at best: its arithmetic, its traffic and its launch at the speed of the device's probes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cost_model.dataset import COLUMNS, PROBE_STEPS, PROBES
from cost_model.features import Floats

_FLOAT_BYTES = 4
_USUAL_MS = {"launch": 0.0005, "compute": 0.4, "cache 3": 1.0}
"""Of the probes, where one was not measured: as of some CPU of these days."""


class Rates(NamedTuple):
    """Of the device of each row: float64 [R] each."""

    ms_per_flop: Floats
    ms_per_byte: Floats
    launch_ms: Floats


def rates(rows: Floats) -> Rates:
    """Speeds of the devices of rows: float64 [R, len(COLUMNS)]."""
    probe = {
        name: np.exp2(np.nan_to_num(rows[:, COLUMNS.index(f"probe_{name}")], nan=np.log2(usual)))
        for name, usual in _USUAL_MS.items()
    }
    return Rates(
        probe["compute"] / (2.0 * PROBE_STEPS * math.prod(PROBES["compute"])),
        probe["cache 3"] / (2.0 * _FLOAT_BYTES * math.prod(PROBES["cache 3"])),  # reads and writes
        probe["launch"],
    )


def roofline(rows: Floats) -> Floats:
    """Logarithm (base 2) of the least milliseconds: float64 [R]."""
    rate = rates(rows)
    flops, read, written = (np.exp2(rows[:, COLUMNS.index(name)]) - 1 for name in ("flops", "bytes_in", "bytes_out"))
    return np.asarray(np.log2(rate.ms_per_flop * flops + rate.ms_per_byte * (read + written) + rate.launch_ms))
