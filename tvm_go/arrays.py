"""Frozen records of arrays: how they are frozen, and the runs of a sorted one."""

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


def run_starts(sorted_keys: NDArray[np.integer[Any]], count: int) -> NDArray[np.int64]:
    """Offsets of each key's run in a sorted array, read-only: int64 [count + 1]."""
    starts = np.searchsorted(sorted_keys, np.arange(count + 1)).astype(np.int64)
    starts.setflags(write=False)
    return starts
