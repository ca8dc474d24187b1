"""Random numbers for compiled loops that may run side by side: the state is an argument, not global."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

State = NDArray[np.uint64]


def seeded(rng: np.random.Generator) -> State:
    """Make a state, uint64 [1], never 0."""
    return rng.integers(1, 2**63, size=1, dtype=np.uint64)


@njit(cache=True, nogil=True)
def uniform(state: State) -> float:
    """Draw from [0, 1) (Marsaglia, "Xorshift RNGs", 2003, with 64 bits)."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return (x >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True, nogil=True)
def below(state: State, count: int) -> int:
    """Draw from 0..count - 1."""
    return int(uniform(state) * count)
