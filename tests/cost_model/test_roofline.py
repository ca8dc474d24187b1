"""What traffic takes follows the probes of a device."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cost_model.dataset import COLUMNS, PROBES
from cost_model.features import Floats
from cost_model.roofline import ms_per_byte

_PROBED_MS = {"cache 1": 0.001, "cache 2": 0.01, "cache 3": 0.4, "memory": 16.0}


def device(count: int) -> Floats:
    rows = np.full((count, len(COLUMNS)), np.nan)
    for name, ms in _PROBED_MS.items():
        rows[:, COLUMNS.index(f"probe_{name}")] = math.log2(ms)
    return rows


@pytest.mark.parametrize("name", _PROBED_MS)
def test_so_much_traffic_as_a_probe_has_takes_what_the_probe_takes(name: str) -> None:
    moved = np.array([8.0 * math.prod(PROBES[name])])  # read and written
    np.testing.assert_allclose(ms_per_byte(device(1), moved) * moved, _PROBED_MS[name])


def test_between_probes_and_beyond_them_nothing_jumps() -> None:
    moved = np.exp2(np.linspace(0, 35, 400))
    per_byte = ms_per_byte(device(400), moved)
    steps = np.abs(np.diff(np.log2(per_byte)))
    assert steps.max() < 0.2
    assert per_byte[0] == per_byte[100]
    assert per_byte[-1] == per_byte[-40] == pytest.approx(16.0 / (8.0 * math.prod(PROBES["memory"])))


def test_a_device_without_probes_has_rates_too() -> None:
    nothing = np.full((3, len(COLUMNS)), np.nan)
    per_byte = ms_per_byte(nothing, np.array([0.0, 1e6, 1e12]))
    assert (per_byte > 0).all() and np.isfinite(per_byte).all()
