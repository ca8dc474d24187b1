"""Sequential execution, as by TVM's graph executor: one op after another over all devices, and copies block."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32
from tvm_go.simulate.costs import Costs, fits, is_allowed, transfer_ms
from tvm_go.simulate.executors.copies import Copies, copies_of, uses_of
from tvm_go.simulate.executors.heap import pop, push
from tvm_go.simulate.executors.trace import Trace, change, new_trace, read_once
from tvm_go.simulate.workload import Floats


@njit(cache=True, nogil=True)
def sequential_ms(costs: Costs, device: Int32, priority: Floats) -> float:
    """Makespan of one placement, int32 [N], with priorities, float64 [N]; ``inf`` if it is not feasible.

    See `run_sequential`; this is what compiled searches call.
    """
    if not is_allowed(costs, device):
        return np.inf
    copies = copies_of(costs, device)
    trace = new_trace(costs, device, copies, False)
    makespan = run_sequential(costs, device, priority, copies, trace)
    return makespan if fits(costs, trace.peak_bytes) else np.inf


@njit(cache=True, nogil=True)
def run_sequential(costs: Costs, device: Int32, priority: Floats, copies: Copies, trace: Trace) -> float:
    """Run one thing at a time.

    Of the ops whose producers are done, the one of the largest priority is next, of equal ones that with the smallest
    number. First what it reads and its device does not have yet is copied there, tensor by tensor; then it computes.
    Its output takes memory from its start, a copy from the copy's start; both until they were read there for the last
    time, by an op or by a copy. What nobody reads stays.
    """
    num_ops = len(device)
    uses = uses_of(copies)
    waiting = np.empty(num_ops, dtype=np.int32)
    keys, ready = np.empty(num_ops, dtype=np.float64), np.empty(num_ops, dtype=np.int32)
    size = 0
    for op in range(num_ops):
        waiting[op] = costs.edge_start[op + 1] - costs.edge_start[op]
        if waiting[op] == 0:
            push(keys, ready, 0, size, -priority[op], op)
            size += 1
    now, before = 0.0, -1
    while size:
        op = pop(keys, ready, 0, size)
        size -= 1
        here = device[op]
        for edge in range(costs.edge_start[op], costs.edge_start[op + 1]):
            copy, producer = copies.of_edge[edge], costs.edge_src[edge]
            if trace.finish_ms[copy] < 0:
                change(trace, here, costs.output_bytes[producer], now)
                trace.start_ms[copy] = now
                now += transfer_ms(costs, producer, device[producer], here)
                trace.finish_ms[copy] = now
                trace.cause[copy] = before
                before = copy
                read_once(costs, copies, uses, trace, copies.first[producer], now)
        own = copies.first[op]
        change(trace, here, costs.output_bytes[op], now)
        trace.start_ms[own] = now
        now += costs.op_ms[op, here]
        trace.finish_ms[own] = now
        trace.cause[own] = before
        before = own
        for edge in range(costs.edge_start[op], costs.edge_start[op + 1]):
            read_once(costs, copies, uses, trace, copies.of_edge[edge], now)
        for k in range(costs.reader_start[op], costs.reader_start[op + 1]):
            reader = costs.reader[k]
            waiting[reader] -= 1
            if waiting[reader] == 0:
                push(keys, ready, 0, size, -priority[reader], reader)
                size += 1
    return now
