"""Memory of one device by the order of its kernels: what is alive at once, and what TVM's planner sets aside."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64
from tvm_go.simulate.workload import Workload

Bools = NDArray[np.bool_]

_MATCH_RANGE = 16  # TokenAllocator1D::match_range_ in tvm/src/relay/backend/token_allocator.h


@dataclass(frozen=True, eq=False)
class KernelTensors:
    """What K kernels make and read: T tensors, U uses. Kernels stand in a topological order.

    Inputs and weights of the whole graph are kept in any order and are left out.

    Attributes
    ----------
    output_start : int64 [K + 1]
        Kernel ``k`` makes tensors ``output_start[k]`` to ``output_start[k + 1] - 1``.
    output_bytes : int64 [T]
    use_start : int64 [K + 1]
    use_tensor : int32 [U]
        Tensors that each kernel reads, in the order of its arguments, as often as it reads them.
    is_view : bool [K]
        Kernels that only give their one input, which may be one that is left out, another shape.
    returned : bool [T]
        Tensors that the graph returns.
    """

    output_start: Int64
    output_bytes: Int64
    use_start: Int64
    use_tensor: Int32
    is_view: Bools
    returned: Bools

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)

    @property
    def num_kernels(self) -> int:
        return len(self.output_start) - 1

    @cached_property
    def tensor_kernel(self) -> Int32:
        """Kernel that makes each tensor: int32 [T]."""
        return np.repeat(np.arange(self.num_kernels, dtype=np.int32), np.diff(self.output_start))

    @cached_property
    def readers(self) -> tuple[Int64, Int32]:
        """Kernels that read what each kernel makes: ``starts`` int64 [K + 1] and readers int32 [U], one per use."""
        producer = self.tensor_kernel[self.use_tensor]
        reader = np.repeat(np.arange(self.num_kernels, dtype=np.int32), np.diff(self.use_start))
        by_producer = np.argsort(producer, kind="stable")
        starts = np.searchsorted(producer[by_producer], np.arange(self.num_kernels + 1)).astype(np.int64)
        return starts, reader[by_producer]

    @cached_property
    def storage(self) -> Storage:
        return Storage(
            *_storage(
                self.output_start, self.output_bytes, self.use_start, self.use_tensor, self.is_view, self.returned
            )
        )

    @classmethod
    def of_workload(cls, workload: Workload) -> KernelTensors:
        """One kernel with one tensor per op; what no op reads is returned."""
        starts, producers = workload.producers
        return cls(
            output_start=np.arange(workload.num_ops + 1, dtype=np.int64),
            output_bytes=np.ceil(workload.output_bytes).astype(np.int64),
            use_start=starts.copy(),
            use_tensor=producers.copy(),
            is_view=np.zeros(workload.num_ops, dtype=np.bool_),
            returned=np.diff(workload.readers[0]) == 0,
        )

    def check_order(self, order: Int32) -> None:
        """Raise :class:`UsageError` unless an order, int32 [K], names each kernel once, after those that it reads."""
        count = self.num_kernels
        if order.shape != (count,) or not np.array_equal(np.sort(order), np.arange(count)):
            raise UsageError(f"an order of {count} kernels must name each of 0..{count - 1} once")
        place = np.empty(count, dtype=np.int64)
        place[order] = np.arange(count)
        reader = np.repeat(np.arange(count), np.diff(self.use_start))
        early = np.flatnonzero(place[self.tensor_kernel[self.use_tensor]] >= place[reader])
        if len(early):
            use = int(early[0])
            raise UsageError(
                f"kernel {reader[use]} stands before kernel {self.tensor_kernel[self.use_tensor[use]]}, which it reads"
            )


@dataclass(frozen=True, eq=False)
class Storage:
    """The same with views resolved: a view's tensor is its input's memory.

    Attributes
    ----------
    own_bytes : int64 [T]
        0 for views.
    owner : int32 [T]
        Tensor in whose memory each one lies; -1 for a view of what the graph keeps.
    read_start : int64 [K + 1]
    read : int32
        Owners that each kernel reads, each once, in the order in which TVM's planner lets go of them.
    num_readers : int32 [T]
        Kernels that read an owner, and one more if it is returned.
    """

    own_bytes: Int64
    owner: Int32
    read_start: Int64
    read: Int32
    num_readers: Int32


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
def _storage(
    output_start: Int64, output_bytes: Int64, use_start: Int64, use_tensor: Int32, is_view: Bools, returned: Bools
) -> tuple[Int64, Int32, Int64, Int32, Int32]:
    num_kernels, num_tensors = len(output_start) - 1, len(output_bytes)
    owner = np.arange(num_tensors).astype(np.int32)
    own_bytes = output_bytes.copy()
    num_readers = np.zeros(num_tensors, dtype=np.int32)
    read_start = np.zeros(num_kernels + 1, dtype=np.int64)
    read = np.empty(len(use_tensor), dtype=np.int32)
    seen = np.full(num_tensors, -1, dtype=np.int64)
    count = 0
    for kernel in range(num_kernels):
        first = count
        for i in range(use_start[kernel + 1] - 1, use_start[kernel] - 1, -1):  # the last use lets go
            tensor = owner[use_tensor[i]]
            if tensor >= 0 and seen[tensor] != kernel:
                seen[tensor] = kernel
                read[count] = tensor
                num_readers[tensor] += 1
                count += 1
        read[first:count] = read[first:count][::-1].copy()
        read_start[kernel + 1] = count
        if is_view[kernel]:
            tensor = output_start[kernel]
            has_use = use_start[kernel] < use_start[kernel + 1]
            owner[tensor] = owner[use_tensor[use_start[kernel]]] if has_use else -1
            own_bytes[tensor] = 0
    held = np.zeros(num_tensors, dtype=np.bool_)
    for tensor in range(num_tensors):
        if returned[tensor] and owner[tensor] >= 0 and not held[owner[tensor]]:
            held[owner[tensor]] = True
            num_readers[owner[tensor]] += 1
    return own_bytes, owner, read_start, read[:count].copy(), num_readers


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
