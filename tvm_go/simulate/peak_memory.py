"""Memory of one device by the order of its kernels: what is alive at once, and what TVM's planner sets aside."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.kernel_tensors import KernelTensors

_MATCH_RANGE = 16  # TokenAllocator1D::match_range_ in tvm/src/relay/backend/token_allocator.h


def live_bytes(tensors: KernelTensors, order: Int32) -> Int64:
    """Bytes of the tensors that are alive while each kernel runs: int64 [K], by place in the order.

    While a kernel runs it holds what it reads and what it makes. No allocator can do with less than the maximum.
    """
    storage = tensors.storage
    return live_profile(
        order, tensors.output_start, storage.own_bytes, storage.read_start, storage.read, storage.num_readers
    )


def peak_bytes(tensors: KernelTensors, order: Int32) -> int:
    """The most bytes that are alive at once."""
    return int(live_bytes(tensors, order).max(initial=0))


def least_peak_bytes(tensors: KernelTensors) -> int:
    """What no order can be better than: the largest kernel with all that it reads and makes, or all that is returned.

    An order that reaches it is proven best.
    """
    storage = tensors.storage
    made = np.concatenate([[0], np.cumsum(storage.own_bytes)])[tensors.output_start]
    read = np.concatenate([[0], np.cumsum(storage.own_bytes[storage.read])])[storage.read_start]
    owners = np.unique(storage.owner[tensors.returned])
    kept = int(storage.own_bytes[owners[owners >= 0]].sum())
    return max(int((np.diff(made) + np.diff(read)).max(initial=0)), kept)


def plan_memory(tensors: KernelTensors, order: Int32) -> tuple[Int32, Int64]:
    """What TVM's graph executor sets aside: ``StorageAllocator`` in tvm/src/relay/backend/graph_plan_memory.cc.

    Returns
    -------
    block : int32 [T]
        Block of memory that holds each tensor, numbered as they are made; -1 for views of what the graph keeps.
    block_bytes : int64
        Size of each block.
    """
    storage = tensors.storage
    return plan_blocks(
        order,
        tensors.output_start,
        storage.own_bytes,
        storage.owner,
        storage.read_start,
        storage.read,
        storage.num_readers,
    )


def planned_bytes(tensors: KernelTensors, order: Int32) -> int:
    """Bytes of all blocks that TVM's graph executor sets aside for what kernels make."""
    return int(plan_memory(tensors, order)[1].sum())


@njit(cache=True, nogil=True)
def live_profile(
    order: Int32, output_start: Int64, own_bytes: Int64, read_start: Int64, read: Int32, num_readers: Int32
) -> Int64:
    """Compiled part of :func:`live_bytes`, for loops that evaluate many orders."""
    left = num_readers.copy()
    profile = np.empty(len(order), dtype=np.int64)
    live = 0
    for place in range(len(order)):
        kernel = order[place]
        unread = 0
        for tensor in range(output_start[kernel], output_start[kernel + 1]):
            live += own_bytes[tensor]
            if left[tensor] == 0:
                unread += own_bytes[tensor]
        profile[place] = live
        live -= unread
        for i in range(read_start[kernel], read_start[kernel + 1]):
            left[read[i]] -= 1
            if left[read[i]] == 0:
                live -= own_bytes[read[i]]
    return profile


@njit(cache=True, nogil=True)
def plan_blocks(
    order: Int32,
    output_start: Int64,
    own_bytes: Int64,
    owner: Int32,
    read_start: Int64,
    read: Int32,
    num_readers: Int32,
) -> tuple[Int32, Int64]:
    """Compiled part of :func:`plan_memory`, for loops that evaluate many orders."""
    left = num_readers.copy()
    block = np.full(len(owner), -1, dtype=np.int32)
    block_bytes = np.empty(len(owner), dtype=np.int64)
    num_blocks = 0
    free_bytes = np.empty(len(owner) + 1, dtype=np.int64)  # ascending; equal ones in the order in which they came
    free_block = np.empty(len(owner) + 1, dtype=np.int32)
    num_free = 0
    for kernel in order:
        for tensor in range(output_start[kernel], output_start[kernel + 1]):
            if owner[tensor] != tensor:
                if owner[tensor] >= 0:
                    block[tensor] = block[owner[tensor]]
                continue
            size = own_bytes[tensor]
            found = np.searchsorted(free_bytes[:num_free], size)
            if found == num_free or free_bytes[found] > size * _MATCH_RANGE:
                found -= 1  # the largest of those that are too small grows
                if found >= 0 and free_bytes[found] < size // _MATCH_RANGE:
                    found = -1
            if found < 0:
                block[tensor] = num_blocks
                block_bytes[num_blocks] = size
                num_blocks += 1
                continue
            taken = free_block[found]
            block[tensor] = taken
            block_bytes[taken] = max(block_bytes[taken], size)
            num_free -= 1
            for i in range(found, num_free):
                free_bytes[i], free_block[i] = free_bytes[i + 1], free_block[i + 1]
        made, stop = output_start[kernel], output_start[kernel + 1]
        num_released = stop - made + read_start[kernel + 1] - read_start[kernel]
        for i in range(num_released):
            if i < stop - made:
                tensor = made + i
                if owner[tensor] != tensor or left[tensor] > 0:
                    continue
            else:
                tensor = read[read_start[kernel] + i - (stop - made)]
                left[tensor] -= 1
                if left[tensor] > 0:
                    continue
            size = block_bytes[block[tensor]]
            at = np.searchsorted(free_bytes[:num_free], size, side="right")
            for j in range(num_free, at, -1):
                free_bytes[j], free_block[j] = free_bytes[j - 1], free_block[j - 1]
            free_bytes[at], free_block[at] = size, block[tensor]
            num_free += 1
    return block, block_bytes[:num_blocks].copy()
