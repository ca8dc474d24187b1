"""What kernels lose in a whole by values that other kernels drove out of the cache since they were touched last.

A kernel that is timed alone finds its inputs where its own traffic leaves them. In a whole, what others touch since a
value was made or read (its reuse distance; Mattson et al., "Evaluation techniques for storage hierarchies", IBM Systems
Journal 9, 1970) may be more than a cache holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cost_model.dataset import PROBES
from tvm_go.arrays import sums
from tvm_go.graph import Int32, Int64, OpGraph, ValueKind
from tvm_go.kernels import crossing_reads, free_kernels, returned_values
from tvm_go.simulate.workload import Floats

_LEVELS = ("cache 2", "cache 3", "memory")
_FLOAT_BYTES = 4


def lost_ms(graph: OpGraph, kernel: Int32, probes: Mapping[str, float]) -> float:
    """Milliseconds that one run of a whole takes longer than its kernels alone, one after the other.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op.
    probes : mapping of str to float
        Milliseconds of `cost_model.dataset.PROBES`, which read and write arrays of several sizes.
    """
    num_bytes, alone, apart = distances(graph, kernel)
    touched = np.array([2.0 * _FLOAT_BYTES * np.prod(PROBES[level]) for level in _LEVELS])
    rates = np.maximum.accumulate([probes[level] for level in _LEVELS] / touched)

    def rate(size: Floats) -> Floats:
        return np.interp(np.log2(np.maximum(size, 1.0)), np.log2(touched), rates)

    return float((num_bytes * np.maximum(rate(apart) - rate(alone), 0.0)).sum())


def distances(graph: OpGraph, kernel: Int32) -> tuple[Floats, Floats, Floats]:
    """Of each value that a kernel reads, constants apart: its bytes, those that the kernel touches, and its distance.

    Kernels run in topological order of their last ops, one run of the whole after the other.

    Returns
    -------
    float64 [T] each
    """
    count = int(kernel.max(initial=-1)) + 1
    last = np.zeros(count, dtype=np.int64)
    np.maximum.at(last, kernel, np.arange(graph.num_ops))
    place = np.argsort(np.argsort(last))
    free = free_kernels(graph, kernel)
    viewed = _viewed(graph, kernel, free)
    reader, value = crossing_reads(graph, kernel)
    made = np.flatnonzero(returned_values(graph, kernel))
    touching = np.concatenate([reader, kernel[graph.value_op[made]]])
    what, is_read = np.concatenate([viewed[value], made]), np.arange(len(touching)) < len(reader)
    paid = ~free[touching]
    at, what, is_read = place[touching[paid]], what[paid], is_read[paid]
    num_bytes = graph.value_bytes[what].astype(np.float64)
    alone = sums(at, num_bytes, count)
    until = np.cumsum(alone)
    order = np.lexsort((at, what))
    at, what, is_read, num_bytes = at[order], what[order], is_read[order], num_bytes[order]
    first = np.append(True, what[1:] != what[:-1]) if len(what) else np.empty(0, dtype=np.bool_)
    final = at[np.append(np.flatnonzero(first)[1:], len(what)) - 1]  # where each value is touched last
    before = np.where(first, final[np.cumsum(first) - 1], np.roll(at, 1))
    apart = until[at] - until[before] + np.where(first, until[-1] if count else 0.0, 0.0)
    wanted = is_read & (graph.value_kind[what] != ValueKind.CONSTANT)
    return num_bytes[wanted], alone[at[wanted]], apart[wanted]


def _viewed(graph: OpGraph, kernel: Int32, free: NDArray[np.bool_]) -> Int64:
    """The value whose memory each value shares: kernels that cost nothing return views of what they read first."""
    viewed = np.arange(graph.num_values)
    own = np.flatnonzero((graph.value_op >= 0) & free[kernel[np.maximum(graph.value_op, 0)]])
    for value in own.tolist():  # in topological order
        op = graph.value_op[value]
        first = graph.use_start[op]
        if first < graph.use_start[op + 1]:
            viewed[value] = viewed[graph.use_value[first]]
    return viewed
