"""Frozen records of arrays: how they are frozen; the runs of a sorted one, and sums by group."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


def freeze_arrays(record: Any) -> None:
    """Make every array of a dataclass read-only."""
    for field in fields(record):
        array = getattr(record, field.name)
        if isinstance(array, np.ndarray):
            array.setflags(write=False)


def sums(group: NDArray[np.integer[Any]], values: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Sum of the values of each group: float64 [count]."""
    return np.bincount(group, weights=values, minlength=count).astype(np.float64, copy=False)


def run_starts(sorted_keys: NDArray[np.integer[Any]], count: int) -> NDArray[np.int64]:
    """Offsets of each key's run in a sorted array, read-only: int64 [count + 1]."""
    starts = np.searchsorted(sorted_keys, np.arange(count + 1)).astype(np.int64)
    starts.setflags(write=False)
    return starts
