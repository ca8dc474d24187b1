"""What an executor writes down as it goes: when each copy was made and why then, and the memory in use."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.costs import Costs
from tvm_go.simulate.executors.copies import Copies
from tvm_go.simulate.workload import Floats


class Trace(NamedTuple):
    """Of C copies (an op makes its own copy, a transfer any other) and D devices; times in milliseconds.

    Attributes
    ----------
    start_ms, finish_ms : float64 [C]
        -1 until it is known.
    cause : int32 [C]
        The copy whose end let this one start; -1 where none did.
    used_bytes, peak_bytes : float64 [D]
        Now, and at most so far.
    change_ms, change_bytes : float64 [M]
    change_device : int32 [M]
        Each change of memory in the order in which it happened; M = 0 where nobody asked for it, else 2 C.
    changes : int64 [1]
        How many there were.
    """

    start_ms: Floats
    finish_ms: Floats
    cause: Int32
    used_bytes: Floats
    peak_bytes: Floats
    change_ms: Floats
    change_bytes: Floats
    change_device: Int32
    changes: Int64


@njit(cache=True, nogil=True)
def new_trace(costs: Costs, device: Int32, copies: Copies, with_changes: bool) -> Trace:
    """Before anything has run: only what is resident uses memory."""
    used = np.zeros(len(costs.memory_bytes), dtype=np.float64)
    for op in range(len(device)):
        used[device[op]] += costs.resident_bytes[op]
    count = len(copies.op)
    room = 2 * count if with_changes else 0
    return Trace(
        np.full(count, -1.0),
        np.full(count, -1.0),
        np.full(count, -1, dtype=np.int32),
        used,
        used.copy(),
        np.empty(room, dtype=np.float64),
        np.empty(room, dtype=np.float64),
        np.empty(room, dtype=np.int32),
        np.zeros(1, dtype=np.int64),
    )


@njit(cache=True, nogil=True)
def change(trace: Trace, device: int, size_bytes: float, now_ms: float) -> None:
    """Take memory on a device, or give it back if the size is negative."""
    used = trace.used_bytes[device] + size_bytes
    trace.used_bytes[device] = used
    if used > trace.peak_bytes[device]:
        trace.peak_bytes[device] = used
    if len(trace.change_ms):
        number = trace.changes[0]
        trace.change_ms[number] = now_ms
        trace.change_bytes[number] = size_bytes
        trace.change_device[number] = device
        trace.changes[0] = number + 1


@njit(cache=True, nogil=True)
def read_once(costs: Costs, copies: Copies, uses: Int32, trace: Trace, copy: int, now_ms: float) -> None:
    """One use of a copy is over; after the last one its memory is given back."""
    uses[copy] -= 1
    if uses[copy] == 0:
        change(trace, copies.device[copy], -costs.output_bytes[copies.op[copy]], now_ms)
