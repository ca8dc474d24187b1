"""When all that an op reads has arrived on a device."""

from __future__ import annotations

from numba import njit

from tvm_go.graph import Int32
from tvm_go.simulate.costs import Costs, transfer_ms
from tvm_go.simulate.workload import Floats


@njit(cache=True, nogil=True)
def arrival_ms(costs: Costs, op: int, device: int, device_of: Int32, finish_ms: Floats) -> float:
    """Milliseconds; the producers are placed and finished, and their transfers wait for no others."""
    latest = 0.0
    for i in range(costs.edge_start[op], costs.edge_start[op + 1]):
        producer = costs.edge_src[i]
        there = finish_ms[producer]
        if device_of[producer] != device:
            there += transfer_ms(costs, producer, device_of[producer], device)
        latest = max(latest, there)
    return latest
