"""Priorities that follow one micro-batch to its end before they begin the next."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.costs import Costs
from tvm_go.simulate.workload import Floats


def depth_first(costs: Costs) -> Floats:
    """Larger goes first: float64 [N], by a topological order that goes on with what became ready last.

    Where layers are cut into contiguous parts, this lets the parts work on different micro-batches at the same time
    (GPipe, Huang et al., NeurIPS 2019), and backward ops follow their forward ops soon, so that little is kept for
    them. The longest remaining path instead brings all micro-batches through a layer before the next layer begins.
    """
    return _depth_first(costs.edge_start, costs.reader_start, costs.reader)


@njit(cache=True, nogil=True)
def _depth_first(edge_start: Int64, reader_start: Int64, reader: Int32) -> Floats:
    count = len(edge_start) - 1
    waiting = edge_start[1:] - edge_start[:-1]
    ready = np.empty(count, dtype=np.int64)
    size = 0
    for op in range(count - 1, -1, -1):
        if waiting[op] == 0:
            ready[size] = op
            size += 1
    priority = np.empty(count, dtype=np.float64)
    for turn in range(count):
        size -= 1
        op = ready[size]
        priority[op] = count - turn
        for i in range(reader_start[op + 1] - 1, reader_start[op] - 1, -1):
            waiting[reader[i]] -= 1
            if waiting[reader[i]] == 0:
                ready[size] = reader[i]
                size += 1
    return priority
