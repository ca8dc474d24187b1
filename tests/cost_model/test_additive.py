"""The sum of costs finds the rates that made up times, and carries over to kernels unlike those it learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cost_model.additive import AdditiveModel
from cost_model.dataset import COLUMNS
from cost_model.features import Floats
from cost_model.roofline import ms_per_byte, rates

_SPENT_ON = ("elements_exponential", "elements_divide", "bytes_in")


def made_up(count: int, seed: int, most: float) -> tuple[Floats, Floats]:
    """Kernels that do a few things, up to 2 ** most of each; their milliseconds are a sum of rates."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, len(COLUMNS)))
    rows[:, [name.startswith("probe_") or name == "cores" for name in COLUMNS]] = np.nan
    rows[:, COLUMNS.index("is_tir")] = rng.integers(2, size=count)
    for name in _SPENT_ON:
        rows[:, COLUMNS.index(name)] = rng.uniform(0, most, size=count)
    return rows, spent_ms(rows)


def spent_ms(rows: Floats) -> Floats:
    amounts: list[NDArray[np.float64]] = [np.exp2(rows[:, COLUMNS.index(name)]) - 1 for name in _SPENT_ON]
    rate, slower = rates(rows), np.where(rows[:, COLUMNS.index("is_tir")] > 0, 1.0, 3.0)
    arithmetic_ms = rate.ms_per_flop * (20 * amounts[0] + 5 * amounts[1])
    return np.asarray(slower * arithmetic_ms + ms_per_byte(rows, amounts[2]) * amounts[2] + 2 * rate.launch_ms)


def test_rates_are_found_and_hold_for_larger_kernels() -> None:
    model = AdditiveModel.fit(*made_up(600, seed=0, most=18))
    rows, ms = made_up(200, seed=1, most=24)
    np.testing.assert_allclose(np.exp2(model.predict(rows)), ms, rtol=1e-3)
    assert (model.weights >= 0).all()


def test_a_few_wild_times_do_not_move_the_rates() -> None:
    rows, ms = made_up(600, seed=0, most=18)
    wild = ms.copy()
    wild[::30] *= 20
    model = AdditiveModel.fit(rows, wild)
    assert np.median(np.abs(np.exp2(model.predict(rows)) / ms - 1)) < 0.1


def test_one_lowering_alone_can_be_learned() -> None:
    rows, ms = made_up(300, seed=0, most=18)
    te = rows[:, COLUMNS.index("is_tir")] == 0
    model = AdditiveModel.fit(rows[te], ms[te])
    np.testing.assert_allclose(np.exp2(model.predict(rows[te])), ms[te], rtol=1e-3)
    assert np.isfinite(model.predict(rows)).all()


def test_each_device_has_its_own_rates_and_others_those_of_the_nearest() -> None:
    rows, ms = made_up(1200, seed=0, most=18)
    first, second = np.arange(1200) < 600, np.arange(1200) >= 600
    probes = np.array([name.startswith("probe_") for name in COLUMNS])
    rows[np.ix_(first, probes)], rows[np.ix_(second, probes)] = 0.0, 1.0
    ms = spent_ms(rows) * np.where(second, 5.0, 1.0)  # all that probes do not tell
    model = AdditiveModel.fit(rows, ms)
    np.testing.assert_allclose(np.exp2(model.predict(rows)), ms, rtol=1e-3)
    few = np.arange(1200) < 700
    np.testing.assert_array_equal(
        np.exp2(AdditiveModel.fit(rows[few], ms[few]).predict(rows[first])), np.exp2(model.predict(rows[first]))
    )
    rows[np.ix_(first, probes)] = 0.8
    np.testing.assert_allclose(np.exp2(model.predict(rows[first])), 5 * spent_ms(rows[first]), rtol=1e-3)
