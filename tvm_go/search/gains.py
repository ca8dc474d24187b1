"""Taking, of many changes that were tried alone, those that gain together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tvm_go.simulate.workload import Floats

T = TypeVar("T")

_GAIN = 1e-3  # of the time: what a change must gain


def gainful(
    here: T, here_ms: float, alone_ms: Floats, change: Callable[[T, int], T], cost: Callable[[T], float]
) -> tuple[T, float]:
    """Make those changes that gain alone, the best first, if they still gain after those made before.

    Parameters
    ----------
    here : T
        Where to begin.
    here_ms : float
        Its milliseconds.
    alone_ms : float64 [B]
        Milliseconds after each change alone; NaN if that is not known.
    change : callable
        What one of them makes of a place.
    cost : callable
        Milliseconds of a place.

    Returns
    -------
    here : T
    milliseconds : float
    """
    promising = np.flatnonzero(alone_ms < here_ms * (1 - _GAIN))
    for number, one in enumerate(promising[np.argsort(alone_ms[promising], kind="stable")].tolist()):
        other = change(here, one)
        other_ms = float(alone_ms[one]) if number == 0 else cost(other)
        if other_ms < here_ms * (1 - _GAIN):
            here, here_ms = other, other_ms
    return here, here_ms
