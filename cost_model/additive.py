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
from cost_model.features import Floats
from cost_model.parts import parts

_COLUMN = {name: position for position, name in enumerate(COLUMNS)}
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
        amounts, is_tir = parts(rows), rows[:, _COLUMN["is_tir"]] > 0
        devices, device = np.unique(_probes(rows), axis=0, return_inverse=True)
        of_all = _by_lowering(amounts, is_tir, ms)
        weights = [
            _by_lowering(amounts[own], is_tir[own], ms[own]) if own.sum() >= _ENOUGH else of_all
            for own in (device == number for number in range(len(devices)))
        ]
        return AdditiveModel(devices, np.stack(weights))

    def costs(self, rows: Floats) -> Floats:
        """Milliseconds of each part: float64 [R, parts]."""
        which = (rows[:, _COLUMN["is_tir"]] > 0).astype(np.int64)
        far = np.abs(_probes(rows)[:, None] - self.devices).sum(axis=2)  # [R, D]
        return np.asarray(parts(rows) * self.weights[far.argmin(axis=1), which])

    def predict(self, rows: Floats) -> Floats:
        """Logarithm (base 2) of milliseconds: float64 [R]."""
        return log_sum(self.costs(rows))


def log_sum(costs: Floats) -> Floats:
    """Logarithm (base 2) of what all parts take: float64 [R]."""
    return np.asarray(np.log2(np.maximum(costs.sum(axis=1), _LEAST_MS)))


def _probes(rows: Floats) -> Floats:
    return np.nan_to_num(rows[:, [_COLUMN[f"probe_{name}"] for name in PROBES]])


def _by_lowering(amounts: Floats, is_tir: NDArray[np.bool_], ms: Floats) -> Floats:
    return np.stack([_rates_of(amounts[which], ms[which]) for which in (~is_tir, is_tir)])


def _rates_of(amounts: Floats, ms: Floats) -> Floats:
    if not len(ms):
        return np.zeros(amounts.shape[1])
    weight = 1.0 / ms
    for _ in range(_ROUNDS):
        found, _ = nnls(amounts * weight[:, None], ms * weight, maxiter=100 * amounts.shape[1])
        expected = np.maximum(amounts @ found, _LEAST_MS)
        weight = 1.0 / np.sqrt(expected * ms * (1.0 + np.abs(np.log2(expected / ms))))
    return np.asarray(found)
