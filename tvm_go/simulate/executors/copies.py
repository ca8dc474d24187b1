"""Copies of tensors: which devices hold the output of each op under a placement, and who reads it there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tvm_go.graph import Int32
from tvm_go.simulate.costs import Costs


class Copies(NamedTuple):
    """C copies: of each op its own first, then one on each other device that reads it, by device number.

    Attributes
    ----------
    first : int32 [N + 1]
        Own copy of each op; those of op ``u`` are ``first[u]:first[u + 1]``.
    op, device : int32 [C]
        What each is a copy of, and where.
    start : int32 [C + 1]
        Readers of copy ``c`` are ``reader[start[c]:start[c + 1]]``.
    reader : int32 [E]
    of_edge : int32 [E]
        Copy that is read by each edge of the workload.
    """

    first: Int32
    op: Int32
    device: Int32
    start: Int32
    reader: Int32
    of_edge: Int32


@njit(cache=True, nogil=True)
def copies_of(costs: Costs, device: Int32) -> Copies:
    """Copies that a placement, int32 [N], needs; linear in ops and edges."""
    num_ops, num_edges, num_devices = len(device), len(costs.reader), len(costs.memory_bytes)
    first = np.empty(num_ops + 1, dtype=np.int32)
    copy_op = np.empty(num_ops + num_edges, dtype=np.int32)
    copy_device = np.empty(num_ops + num_edges, dtype=np.int32)
    start = np.empty(num_ops + num_edges + 1, dtype=np.int32)
    reader = np.empty(num_edges, dtype=np.int32)
    of_edge = np.empty(num_edges, dtype=np.int32)
    seen_by = np.full(num_devices, -1, dtype=np.int32)  # the last op that a device was seen to read
    count = np.zeros(num_devices, dtype=np.int32)
    copy_on = np.empty(num_devices, dtype=np.int32)
    reading = np.empty(num_devices, dtype=np.int32)
    total, filled = 0, 0
    for op in range(num_ops):
        first[op] = total
        own = device[op]
        seen_by[own] = op
        count[own] = 0
        reading[0] = own
        others = 1
        for k in range(costs.reader_start[op], costs.reader_start[op + 1]):
            where = device[costs.reader[k]]
            if seen_by[where] != op:
                seen_by[where] = op
                count[where] = 0
                place = others
                while place > 1 and reading[place - 1] > where:
                    reading[place] = reading[place - 1]
                    place -= 1
                reading[place] = where
                others += 1
            count[where] += 1
        for i in range(others):
            where = reading[i]
            copy_op[total] = op
            copy_device[total] = where
            start[total] = filled
            copy_on[where] = total
            total += 1
            filled += count[where]
            count[where] = start[total - 1]  # from here on: where the next reader goes
        for k in range(costs.reader_start[op], costs.reader_start[op + 1]):
            where = device[costs.reader[k]]
            reader[count[where]] = costs.reader[k]
            count[where] += 1
            of_edge[costs.reader_edge[k]] = copy_on[where]
    first[num_ops] = total
    start[total] = filled
    return Copies(first, copy_op[:total], copy_device[:total], start[: total + 1], reader, of_edge)


@njit(cache=True, nogil=True)
def uses_of(copies: Copies) -> Int32:
    """How often each copy is read where it is: by an op, or to make another copy; int32 [C]."""
    uses = (copies.start[1:] - copies.start[:-1]).astype(np.int32)
    for op in range(len(copies.first) - 1):
        uses[copies.first[op]] += copies.first[op + 1] - copies.first[op] - 1
    return uses
