"""Make a split contiguous: no accelerator's ops wait for one another through another device."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.workload import Floats, Workload

Bools = NDArray[np.bool_]
_PASSES = 20


def contiguous(
    workload: Workload, device: Int32, class_ms: Floats, class_bytes: Floats, memory_bytes: Floats, is_host: Bools
) -> Int32:
    """A placement near the given one in which every accelerator's set can run as one step: int32 [N].

    Accelerators are ranked by the first op on each. An op may sit on an accelerator only if nothing before it sits on
    one of a higher rank, and if no op on the host lies between it and that accelerator; then the accelerators can run
    in the order of their ranks. What breaks this goes to the next accelerator that may and has room, or to the host;
    classes of several ops go to the host. It gives up after some passes over the graph, by moving all that still breaks
    it to the host.

    Parameters
    ----------
    device : int32 [N]
    class_ms : float64 [C, D]
    class_bytes : float64 [C]
    memory_bytes : float64 [D]
    is_host : bool [D]
    """
    sizes = np.diff(workload.class_members[0])
    return _contiguous(
        device, workload.colocation, sizes, *workload.producers, class_ms, class_bytes, memory_bytes, is_host
    )


@njit(cache=True, nogil=True)
def _contiguous(
    device: Int32,
    colocation: Int32,
    class_size: Int64,
    producer_start: Int64,
    producer: Int32,
    class_ms: Floats,
    class_bytes: Floats,
    memory_bytes: Floats,
    is_host: Bools,
) -> Int32:
    count, num_devices = len(device), len(is_host)
    home = np.empty(len(class_bytes), dtype=np.int32)
    used = np.zeros(num_devices, dtype=np.float64)
    by_rank = np.empty(num_devices, dtype=np.int32)
    rank = np.full(num_devices, -1, dtype=np.int64)
    ranks = 0
    host = np.argmax(is_host)
    for op in range(count - 1, -1, -1):
        home[colocation[op]] = device[op]
    for label in range(len(home)):
        used[home[label]] += class_bytes[label]
    for op in range(count):
        here = home[colocation[op]]
        if not is_host[here] and rank[here] < 0:
            rank[here], by_rank[ranks] = ranks, here
            ranks += 1
    least = np.zeros(count, dtype=np.int64)  # rank that a reader of this op must have, on an accelerator
    for turn in range(_PASSES + len(home)):
        changed = False
        for op in range(count):
            beside, behind = 0, 0  # the rank that the op must have on an accelerator, and gives to readers on the host
            for i in range(producer_start[op], producer_start[op + 1]):
                before = producer[i]
                beside = max(beside, least[before])
                behind = max(behind, least[before] + (0 if is_host[home[colocation[before]]] else 1))
            label = colocation[op]
            here = home[label]
            if not is_host[here] and rank[here] < beside:
                target = host
                if class_size[label] == 1 and turn < _PASSES:
                    for r in range(beside, ranks):
                        other = by_rank[r]
                        fits = used[other] + class_bytes[label] <= memory_bytes[other]
                        if fits and np.isfinite(class_ms[label, other]):
                            target = other
                            break
                used[here] -= class_bytes[label]
                used[target] += class_bytes[label]
                home[label] = target
                here, changed = target, True
            least[op] = behind if is_host[here] else rank[here]
        if not changed:
            break
    return home[colocation]
