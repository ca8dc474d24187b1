"""Of the kernels that can run, first the one after which the least memory is in use."""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.search.scheduling.list_schedule import priority_of
from tvm_go.search.scheduling.problem import SchedulingProblem
from tvm_go.simulate.kernel_tensors import Bools, KernelTensors


def search(problem: SchedulingProblem, rng: np.random.Generator) -> None:
    """Evaluate the greedy order with each of two rules for what grows memory by the same amount."""
    for latest_first in (False, True):
        order = greedy_order(problem.tensors, latest_first=latest_first)
        problem.evaluate(priority_of(order)[None])


def greedy_order(tensors: KernelTensors, *, latest_first: bool) -> Int32:
    """An order, int32 [K].

    Parameters
    ----------
    latest_first : bool
        Of kernels that are equal, whether to run the one that became ready last: branches are followed to their
        end. Otherwise the one that stands first.
    """
    storage = tensors.storage
    reader_start, reader = tensors.readers
    return _greedy(
        tensors.output_start,
        tensors.use_start,
        reader_start,
        reader.astype(np.int64),  # numba's heaps hold one type of number
        storage.own_bytes,
        storage.read_start,
        storage.read,
        storage.num_readers,
        tensors.returned,
        storage.owner,
        latest_first,
    )


@njit(cache=True, nogil=True)
def _greedy(
    output_start: Int64,
    use_start: Int64,
    reader_start: Int64,
    reader: Int64,
    own_bytes: Int64,
    read_start: Int64,
    read: Int32,
    num_readers: Int32,
    returned: Bools,
    owner: Int32,
    latest_first: bool,
) -> Int32:
    count = len(use_start) - 1
    left = num_readers.copy()
    # The sum of the numbers of those that have yet to read a tensor: once there is one, it names it. What is returned
    # has a reader that never comes.
    last = np.zeros(len(left), dtype=np.int64)
    growth = np.zeros(count, dtype=np.int64)
    for kernel in range(count):
        for i in range(read_start[kernel], read_start[kernel + 1]):
            last[read[i]] += kernel
            if left[read[i]] == 1:
                growth[kernel] -= own_bytes[read[i]]
        for tensor in range(output_start[kernel], output_start[kernel + 1]):
            if left[tensor] > 0:
                growth[kernel] += own_bytes[tensor]
    for tensor in range(len(left)):
        if returned[tensor] and owner[tensor] >= 0:
            last[owner[tensor]] = -(1 << 62)
    waiting = np.diff(use_start)
    done = np.zeros(count, dtype=np.bool_)
    ready = [(int(growth[kernel]), kernel, kernel) for kernel in range(count) if waiting[kernel] == 0]
    heapq.heapify(ready)
    came = count
    order = np.empty(count, dtype=np.int32)
    for place in range(count):
        while True:
            grows, _, kernel = heapq.heappop(ready)
            if not done[kernel] and grows == growth[kernel]:
                break  # not an entry from before its growth became less
        done[kernel] = True
        order[place] = kernel
        for i in range(read_start[kernel], read_start[kernel + 1]):
            tensor = read[i]
            left[tensor] -= 1
            last[tensor] -= kernel
            if left[tensor] == 1 and last[tensor] >= 0:
                other = int(last[tensor])
                growth[other] -= own_bytes[tensor]
                if waiting[other] == 0:
                    came += 1
                    heapq.heappush(ready, (int(growth[other]), -came if latest_first else other, other))
        for i in range(reader_start[kernel], reader_start[kernel + 1]):
            other = int(reader[i])
            waiting[other] -= 1
            if waiting[other] == 0:
                came += 1
                heapq.heappush(ready, (int(growth[other]), -came if latest_first else other, other))
    return order
