"""Pipelined execution: each device works on a sample of its own, and the one with most to do sets the pace."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32
from tvm_go.simulate.costs import Costs, fits, is_allowed, transfer_ms
from tvm_go.simulate.executors.copies import Copies, copies_of, uses_of
from tvm_go.simulate.executors.trace import Trace, change, new_trace, read_once
from tvm_go.simulate.workload import Floats


@njit(cache=True, nogil=True)
def pipeline_ms(costs: Costs, device: Int32, priority: Floats) -> float:
    """Milliseconds between two samples for one placement, int32 [N]; ``inf`` if it is not feasible.

    See `run_pipeline`; this is what compiled searches call. Priorities are not looked at.
    """
    if not is_allowed(costs, device):
        return np.inf
    copies = copies_of(costs, device)
    trace = new_trace(costs, device, copies, False)
    period = run_pipeline(costs, device, copies, trace)
    return period if fits(costs, trace.peak_bytes) else np.inf


@njit(cache=True, nogil=True)
def run_pipeline(costs: Costs, device: Int32, copies: Copies, trace: Trace) -> float:
    """One period: the largest load of a device or of a link.

    A device's load is the computing of its ops and its transfers, in and out; their sum where transfers do not overlap
    computing, else the larger of the two. A link's load is the transfers that go over it.

    Times are those of the period of the device itself (of the sender, for a transfer): without overlap it takes in what
    it reads, runs its ops by number, and sends; with overlap both computing and sending start at 0. What a device takes
    in uses memory from the beginning of its period until it was read there for the last time, the output of an op
    from its start until then, or to the end of the period if it is sent or nobody reads it.
    """
    num_ops, num_devices = len(device), len(costs.memory_bytes)
    uses = uses_of(copies)
    transferring = np.zeros(num_devices, dtype=np.float64)
    link_ms = np.zeros(costs.link.max() + 1, dtype=np.float64)
    clock, before = np.zeros(num_devices, dtype=np.float64), np.full(num_devices, -1, dtype=np.int32)
    for copy in range(len(copies.op)):
        op = copies.op[copy]
        here, there = device[op], copies.device[copy]
        if here != there:
            took = transfer_ms(costs, op, here, there)
            transferring[here] += took
            transferring[there] += took
            if costs.link[here, there] >= 0:
                link_ms[costs.link[here, there]] += took
            if not costs.overlap:
                clock[there] += took
            change(trace, there, costs.output_bytes[op], 0.0)
    computing = np.zeros(num_devices, dtype=np.float64)
    for op in range(num_ops):
        here, own = device[op], copies.first[op]
        change(trace, here, costs.output_bytes[op], clock[here])
        computing[here] += costs.op_ms[op, here]
        trace.start_ms[own], trace.cause[own] = clock[here], before[here]
        clock[here] += costs.op_ms[op, here]
        trace.finish_ms[own] = clock[here]
        before[here] = own
        for edge in range(costs.edge_start[op], costs.edge_start[op + 1]):
            read_once(costs, copies, uses, trace, copies.of_edge[edge], clock[here])
    if costs.overlap:
        clock[:] = 0.0
        before[:] = -1
    for copy in range(len(copies.op)):
        op = copies.op[copy]
        here, there = device[op], copies.device[copy]
        if here != there:
            trace.start_ms[copy], trace.cause[copy] = clock[here], before[here]
            clock[here] += transfer_ms(costs, op, here, there)
            trace.finish_ms[copy] = clock[here]
            before[here] = copy
    period = 0.0
    for load in link_ms:
        period = max(period, load)
    for one in range(num_devices):
        if costs.overlap:
            period = max(period, computing[one], transferring[one])
        else:
            period = max(period, computing[one] + transferring[one])
    return period
