"""KernelTensors: what the kernels of one device make and read, and in whose memory each tensor lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.arrays import freeze_arrays, run_starts
from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64
from tvm_go.simulate.workload import Workload

Bools = NDArray[np.bool_]


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
        freeze_arrays(self)

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
        return run_starts(producer[by_producer], self.num_kernels), reader[by_producer]

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
