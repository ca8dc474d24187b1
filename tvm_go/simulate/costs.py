"""Costs: a workload on a machine as the plain arrays that compiled executors read."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit

from tvm_go.errors import UnsupportedModelError
from tvm_go.graph import Int32, Int64
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.workload import Floats, Workload

MEMORY_TOLERANCE = 1e-9
"""Relative, as the judge of dnn-partitioning allows: sums of bytes are rounded."""


class Costs(NamedTuple):
    """N ops with E edges on D devices; numba takes it as an argument of any compiled function.

    Attributes
    ----------
    op_ms : float64 [N, D]
        ``inf`` where an op cannot run.
    resident_bytes, output_bytes : float64 [N]
    colocation : int32 [N]
    memory_bytes : float64 [D]
    bytes_per_ms, latency_ms : float64 [D, D]
    link : int32 [D, D]
        -1 where transfers never wait.
    overlap : bool
    edge_start : int64 [N + 1]
        Edges that go into each op: edge ``e`` of op ``v`` stands in ``edge_start[v]:edge_start[v + 1]``.
    edge_src : int32 [E]
    reader_start : int64 [N + 1]
        Edges that leave each op, as places in the two arrays that follow.
    reader, reader_edge : int32 [E]
        Who reads, and by which edge.
    """

    op_ms: Floats
    resident_bytes: Floats
    output_bytes: Floats
    colocation: Int32
    memory_bytes: Floats
    bytes_per_ms: Floats
    latency_ms: Floats
    link: Int32
    overlap: bool
    edge_start: Int64
    edge_src: Int32
    reader_start: Int64
    reader: Int32
    reader_edge: Int32


@lru_cache(maxsize=4)  # a search asks for the same pair thousands of times; both are frozen
def costs_of(workload: Workload, machine: Machine) -> Costs:
    """Gather what a machine and a workload say of one another.

    Raises
    ------
    UnsupportedModelError
        If a cost is negative or not a number, or an op runs on no device.
    """
    for what, values in (
        ("milliseconds", workload.op_ms),
        ("resident bytes", workload.resident_bytes),
        ("output bytes", workload.output_bytes),
    ):
        rows = values if values.ndim == 2 else values[:, None]
        wrong = np.isnan(rows) | (rows < 0) | (np.isinf(rows) & (values is not workload.op_ms))
        if wrong.any():
            op, column = (int(i) for i in np.argwhere(wrong)[0])
            raise UnsupportedModelError(
                f"{workload.name}: op {workload.op_ids[op]} has {rows[op, column]} {what}; "
                "give it a number that is not negative"
            )
    edge_start, edge_src = workload.producers
    reader_start, reader = workload.readers
    return Costs(
        op_ms=machine.op_ms(workload),
        resident_bytes=workload.resident_bytes,
        output_bytes=workload.output_bytes,
        colocation=workload.colocation,
        memory_bytes=machine.memory_bytes,
        bytes_per_ms=machine.bytes_per_ms,
        latency_ms=machine.latency_ms,
        link=machine.link,
        overlap=machine.overlap,
        edge_start=edge_start,
        edge_src=edge_src,
        reader_start=reader_start,
        reader=reader,
        reader_edge=np.argsort(workload.edge_src, kind="stable").astype(np.int32),
    )


def longest_remaining_ms(costs: Costs) -> Floats:
    """Longest way from the start of each op to the end of the graph, before anything is placed: float64 [N].

    An op counts with its mean over the devices that can run it, a tensor with its mean over all pairs of devices (the
    upward rank of Topcuoglu et al., "Performance-effective and low-complexity task scheduling", TPDS 2002).
    """
    runs = np.isfinite(costs.op_ms)
    op_ms = np.where(runs, costs.op_ms, 0.0).sum(axis=1) / runs.sum(axis=1)
    travel_ms = costs.latency_ms.mean() + costs.output_bytes * (1.0 / costs.bytes_per_ms).mean()
    return _longest_remaining(op_ms, travel_ms, costs.reader_start, costs.reader)


@njit(cache=True, nogil=True)
def _longest_remaining(op_ms: Floats, travel_ms: Floats, reader_start: Int64, reader: Int32) -> Floats:
    remaining = np.empty(len(op_ms), dtype=np.float64)
    for op in range(len(op_ms) - 1, -1, -1):
        longest = 0.0
        for k in range(reader_start[op], reader_start[op + 1]):
            longest = max(longest, travel_ms[op] + remaining[reader[k]])
        remaining[op] = op_ms[op] + longest
    return remaining


@njit(cache=True, nogil=True)
def is_allowed(costs: Costs, device: Int32) -> bool:
    """Whether each op runs on its device, no colocation class is split, and what is resident fits; O(N)."""
    resident = np.zeros(len(costs.memory_bytes), dtype=np.float64)
    home = np.full(len(device), -1, dtype=np.int32)
    for op in range(len(device)):
        label = costs.colocation[op]
        if home[label] < 0:
            home[label] = device[op]
        if home[label] != device[op] or not np.isfinite(costs.op_ms[op, device[op]]):
            return False
        resident[device[op]] += costs.resident_bytes[op]
    return fits(costs, resident)


@njit(cache=True, nogil=True)
def fits(costs: Costs, used_bytes: Floats) -> bool:
    """Whether no device uses more memory than it has; float64 [D]."""
    for device in range(len(used_bytes)):
        if used_bytes[device] > costs.memory_bytes[device] * (1 + MEMORY_TOLERANCE):
            return False
    return True


@njit(cache=True, nogil=True)
def transfer_ms(costs: Costs, op: int, source: int, target: int) -> float:
    """Milliseconds that the tensor of an op takes from one device to another, once it moves."""
    return costs.latency_ms[source, target] + costs.output_bytes[op] / costs.bytes_per_ms[source, target]
