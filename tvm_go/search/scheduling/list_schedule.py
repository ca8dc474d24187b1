"""From priorities to an order: of the kernels whose producers have run, the one with the largest priority is next."""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.kernel_tensors import KernelTensors
from tvm_go.simulate.workload import Floats


def list_schedule(tensors: KernelTensors, priority: Floats) -> Int32:
    """An order, int32 [K], from priorities, float64 [K]; equal priorities go by number."""
    by_rank = np.argsort(-priority, kind="stable").astype(np.int32)
    return _list_schedule(by_rank, tensors.use_start, *tensors.readers)


def priority_of(order: Int32) -> Floats:
    """Priorities, float64 [K], of which list scheduling makes exactly this order."""
    priority = np.empty(len(order))
    priority[order] = -np.arange(len(order), dtype=np.float64)
    return priority


@njit(cache=True, nogil=True)
def _list_schedule(by_rank: Int32, use_start: Int64, reader_start: Int64, reader: Int32) -> Int32:
    count = len(by_rank)
    rank = np.empty(count, dtype=np.int32)
    rank[by_rank] = np.arange(count)
    waiting = np.diff(use_start)
    ready = [rank[kernel] for kernel in range(count) if waiting[kernel] == 0]
    heapq.heapify(ready)
    order = np.empty(count, dtype=np.int32)
    for place in range(count):
        kernel = by_rank[heapq.heappop(ready)]
        order[place] = kernel
        for i in range(reader_start[kernel], reader_start[kernel + 1]):
            waiting[reader[i]] -= 1
            if waiting[reader[i]] == 0:
                heapq.heappush(ready, rank[reader[i]])
    return order
