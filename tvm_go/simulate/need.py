"""Need: how many bytes of one device's fullest moment each op answers for."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.workload import Floats, Workload


def bytes_at_peak(workload: Workload) -> Floats:
    """Bytes that each op answers for when one device, running all ops in their order, is fullest: float64 [N].

    That is what it keeps all the time, and its output if it is alive at that moment, so the sum is the peak of one
    device. Split over devices, the sums of a placement say about how full each will be, which is what constructive
    strategies plan by.
    """
    return workload.resident_bytes + _alive_at_peak(workload.output_bytes, *workload.producers, *workload.readers)


def parts_of_equal_need(workload: Workload, parts: int) -> Int32:
    """Cut the classes, in the order of their first ops, where each part's need is about the same: int32 [N]."""
    need = np.bincount(workload.colocation, weights=bytes_at_peak(workload), minlength=workload.num_classes)
    middle = np.cumsum(need) - need / 2
    part = np.minimum(middle * parts / max(float(need.sum()), 1e-300), parts - 1).astype(np.int32)
    return part[workload.colocation]


@njit(cache=True, nogil=True)
def _alive_at_peak(
    output_bytes: Floats, producer_start: Int64, producer: Int32, reader_start: Int64, reader: Int32
) -> Floats:
    count = len(output_bytes)
    last = np.full(count, count, dtype=np.int64)  # a tensor that nobody reads stays
    for op in range(count):
        if reader_start[op + 1] > reader_start[op]:
            last[op] = reader[reader_start[op + 1] - 1]
    alive, fullest, moment = 0.0, -1.0, 0
    for op in range(count):
        alive += output_bytes[op]
        if alive > fullest:
            fullest, moment = alive, op
        for i in range(producer_start[op], producer_start[op + 1]):
            if last[producer[i]] == op:
                alive -= output_bytes[producer[i]]
    result = np.zeros(count, dtype=np.float64)
    for op in range(moment + 1):
        if last[op] >= moment:
            result[op] = output_bytes[op]
    return result
