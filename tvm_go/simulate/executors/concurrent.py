"""Concurrent execution: each device takes ready ops by priority, and tensors travel over links meanwhile."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.costs import Costs, fits, is_allowed, transfer_ms
from tvm_go.simulate.executors.copies import Copies, copies_of, uses_of
from tvm_go.simulate.executors.heap import pop, push
from tvm_go.simulate.executors.trace import Trace, change, new_trace, read_once
from tvm_go.simulate.workload import Floats


@njit(cache=True, nogil=True)
def concurrent_ms(costs: Costs, device: Int32, priority: Floats) -> float:
    """Makespan of one placement, int32 [N], with priorities, float64 [N]; ``inf`` if it is not feasible.

    See `run_concurrent`; this is what compiled searches call.
    """
    if not is_allowed(costs, device):
        return np.inf
    copies = copies_of(costs, device)
    trace = new_trace(costs, device, copies, False)
    makespan = run_concurrent(costs, device, priority, copies, trace)
    return makespan if fits(costs, trace.peak_bytes) else np.inf


@njit(cache=True, nogil=True)
def run_concurrent(costs: Costs, device: Int32, priority: Floats, copies: Copies, trace: Trace) -> float:
    """Run what can run, event by event.

    - A device that is idle starts the op of the largest priority (of equal ones that with the smallest number) among
      those whose inputs are all there; it never waits for a better one.
    - The moment a tensor is made, its transfers are booked, one to each other device that reads it, by device number.
      A transfer starts when all that was booked before on its link is done; where transfers do not overlap computing,
      also not before both devices are done with their op and with all that was booked on them, and until it ends
      neither starts anything else.
    - At one moment, first transfers end, then ops finish (by priority, as above), then transfers start, then ops start.
    - Memory: the output of an op counts from its start and a copy from the start of its transfer, both until they were
      read there for the last time, by an op or by a transfer. What nobody reads stays.
    """
    num_ops, num_devices, num_copies = len(device), len(costs.memory_bytes), len(copies.op)
    uses = uses_of(copies)
    waiting = np.empty(num_ops, dtype=np.int32)
    base = np.zeros(num_devices + 1, dtype=np.int64)
    for op in range(num_ops):
        waiting[op] = costs.edge_start[op + 1] - costs.edge_start[op]
        base[device[op] + 1] += 1
    base = np.cumsum(base)
    keys, ready = np.empty(num_ops, dtype=np.float64), np.empty(num_ops, dtype=np.int32)
    size = np.zeros(num_devices, dtype=np.int64)
    # Ends of transfers are numbered by their copy, starts by their copy + C, so that at one moment ends come first.
    event_ms = np.empty(2 * (num_copies - num_ops), dtype=np.float64)
    event = np.empty(2 * (num_copies - num_ops), dtype=np.int32)
    events = 0
    running = np.full(num_devices, -1, dtype=np.int64)
    due_ms = np.full(num_devices, np.inf)  # when the running op finishes or, on an idle device, the next one starts
    free_ms, free_after = np.zeros(num_devices, dtype=np.float64), np.full(num_devices, -1, dtype=np.int32)
    num_links = costs.link.max() + 1
    link_ms, link_after = np.zeros(num_links, dtype=np.float64), np.full(num_links, -1, dtype=np.int32)
    for op in range(num_ops):
        if waiting[op] == 0:
            here = device[op]
            push(keys, ready, base[here], size[here], -priority[op], op)
            size[here] += 1
            due_ms[here] = 0.0
    makespan = 0.0
    while True:
        here = _next_device(due_ms, running, priority)
        while events and (
            event_ms[0] < due_ms[here] or (event_ms[0] == due_ms[here] and (event[0] < num_copies or running[here] < 0))
        ):
            now = event_ms[0]
            number = pop(event_ms, event, 0, events)
            events -= 1
            if number >= num_copies:
                copy = number - num_copies
                change(trace, copies.device[copy], costs.output_bytes[copies.op[copy]], now)
                continue
            read_once(costs, copies, uses, trace, copies.first[copies.op[number]], now)
            there = copies.device[number]
            _deliver(copies, number, priority, waiting, keys, ready, base[there], size, trace)
            if running[there] < 0 and size[there]:
                due_ms[there] = max(free_ms[there], now)
                here = _next_device(due_ms, running, priority)
        due = due_ms[here]
        if due == np.inf:
            return makespan
        if running[here] < 0:
            op = pop(keys, ready, base[here], size[here])
            size[here] -= 1
            own = copies.first[op]
            if trace.cause[own] < 0 or free_ms[here] > trace.finish_ms[trace.cause[own]]:
                trace.cause[own] = free_after[here]
            change(trace, here, costs.output_bytes[op], due)
            trace.start_ms[own] = due
            running[here] = op
            due_ms[here] = free_ms[here] = trace.finish_ms[own] = due + costs.op_ms[op, here]
            free_after[here] = own
        else:
            op = running[here]
            running[here] = -1
            own = copies.first[op]
            makespan = max(makespan, due)
            for edge in range(costs.edge_start[op], costs.edge_start[op + 1]):
                read_once(costs, copies, uses, trace, copies.of_edge[edge], due)
            _deliver(copies, own, priority, waiting, keys, ready, base[here], size, trace)
            for copy in range(own + 1, copies.first[op + 1]):
                there = copies.device[copy]
                link = costs.link[here, there]
                start, after = due, own
                if link >= 0 and link_ms[link] > start:
                    start, after = link_ms[link], link_after[link]
                if not costs.overlap:
                    for end in (here, np.int64(there)):  # numba: a tuple that is looped over has one type
                        if free_ms[end] > start:
                            start, after = free_ms[end], free_after[end]
                finish = start + transfer_ms(costs, op, here, there)
                trace.start_ms[copy], trace.finish_ms[copy], trace.cause[copy] = start, finish, after
                push(event_ms, event, 0, events, start, copy + num_copies)
                push(event_ms, event, 0, events + 1, finish, copy)
                events += 2
                if link >= 0:
                    link_ms[link], link_after[link] = finish, copy
                if not costs.overlap:
                    for end in (here, np.int64(there)):
                        free_ms[end], free_after[end] = finish, copy
                    if running[there] < 0 and size[there]:
                        due_ms[there] = finish
            due_ms[here] = free_ms[here] if size[here] else np.inf


@njit(cache=True, nogil=True)
def _next_device(due_ms: Floats, running: Int32, priority: Floats) -> int:
    """The device on which something is due first: of those at one moment, ops that finish by priority, then starts."""
    best = 0
    for device in range(1, len(due_ms)):
        if due_ms[device] < due_ms[best]:
            best = device
        elif due_ms[device] == due_ms[best] and running[device] >= 0:
            one, other = running[device], running[best]
            if other < 0 or (-priority[one], one) < (-priority[other], other):
                best = device
    return best


@njit(cache=True, nogil=True)
def _deliver(
    copies: Copies,
    copy: int,
    priority: Floats,
    waiting: Int32,
    keys: Floats,
    ready: Int32,
    base: int,
    size: Int64,
    trace: Trace,
) -> None:
    """A copy is there: its readers that wait for nothing else are ready."""
    here = copies.device[copy]
    for k in range(copies.start[copy], copies.start[copy + 1]):
        reader = copies.reader[k]
        waiting[reader] -= 1
        if waiting[reader] == 0:
            trace.cause[copies.first[reader]] = copy
            push(keys, ready, base, size[here], -priority[reader], reader)
            size[here] += 1
