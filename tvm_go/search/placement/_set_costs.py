"""What a set of clusters costs on an accelerator or on the host, while clusters enter and leave it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64
from tvm_go.search.placement._clusters import Clusters
from tvm_go.simulate.workload import Floats

Bools = NDArray[np.bool_]


class SetCosts(NamedTuple):
    """Costs of clusters and tensors on two devices: 0 the host, 1 an accelerator.

    Where accelerators differ, every number is that of the worst of them, so that a set may go to any.

    Attributes
    ----------
    work_ms, barred : float64 [C, 2], bool [C, 2]
        Where a cluster is barred, its work counts as 0.
    resident_bytes : float64 [C]
    memory_bytes : float64 [2]
    maker, receive_ms, send_ms : int32 [T], float64 [T], float64 [T]
    num_readers : int64 [T]
    tensor_start, tensor : int64 [C + 1], int32
    """

    work_ms: Floats
    barred: Bools
    resident_bytes: Floats
    memory_bytes: Floats
    maker: Int32
    receive_ms: Floats
    send_ms: Floats
    num_readers: Int64
    tensor_start: Int64
    tensor: Int32


class SetTotals(NamedTuple):
    """Sums over one set.

    Attributes
    ----------
    sums : float64 [4]
        Work on the host, work on an accelerator, an accelerator's transfers, bytes.
    barred : int64 [2]
        Clusters that cannot be on each of the two.
    inside : int64 [T]
        Readers of each tensor that are in the set.
    made : bool [T]
        Whether the tensor's maker is in the set.
    """

    sums: Floats
    barred: Int64
    inside: Int64
    made: Bools


def set_costs_of(clusters: Clusters, is_host: Bools) -> SetCosts:
    """Costs on the host and on the worst of the accelerators."""
    others = ~is_host
    op_ms = np.stack(
        [clusters.op_ms[:, np.argmax(is_host)], clusters.op_ms[:, others].max(axis=1, initial=0.0)], axis=1
    )
    memory = clusters.memory_bytes
    return SetCosts(
        work_ms=np.where(np.isfinite(op_ms), op_ms, 0.0),
        barred=~np.isfinite(op_ms),
        resident_bytes=clusters.resident_bytes,
        memory_bytes=np.array([memory[np.argmax(is_host)], memory[others].min(initial=np.inf)]),
        maker=clusters.maker,
        receive_ms=clusters.receive_ms[:, others].max(axis=1, initial=0.0),
        send_ms=clusters.send_ms[:, others].max(axis=1, initial=0.0),
        num_readers=np.diff(clusters.reader_start),
        tensor_start=clusters.tensor_start,
        tensor=clusters.tensor,
    )


@njit(cache=True, nogil=True)
def empty_set(costs: SetCosts) -> SetTotals:
    """Sums over no clusters."""
    count = len(costs.maker)
    return SetTotals(
        np.zeros(4), np.zeros(2, dtype=np.int64), np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
    )


@njit(cache=True, nogil=True)
def _transfer_ms(costs: SetCosts, totals: SetTotals, t: int) -> float:
    """What the set pays for one tensor."""
    if totals.made[t]:
        return costs.send_ms[t] if totals.inside[t] < costs.num_readers[t] else 0.0
    return costs.receive_ms[t] if totals.inside[t] else 0.0


@njit(cache=True, nogil=True)
def enter(costs: SetCosts, totals: SetTotals, one: int, sign: int) -> None:
    """Put a cluster into the set (sign 1), or take it out (sign -1)."""
    totals.sums[0] += sign * costs.work_ms[one, 0]
    totals.sums[1] += sign * costs.work_ms[one, 1]
    totals.sums[3] += sign * costs.resident_bytes[one]
    totals.barred[0] += sign * costs.barred[one, 0]
    totals.barred[1] += sign * costs.barred[one, 1]
    for i in range(costs.tensor_start[one], costs.tensor_start[one + 1]):
        t = costs.tensor[i]
        totals.sums[2] -= _transfer_ms(costs, totals, t)
        if costs.maker[t] == one:
            totals.made[t] = sign > 0
        else:
            totals.inside[t] += sign
        totals.sums[2] += _transfer_ms(costs, totals, t)


@njit(cache=True, nogil=True)
def accelerator_ms(costs: SetCosts, totals: SetTotals) -> float:
    """Work and transfers of the set on an accelerator; ``inf`` if it cannot be there."""
    fits = totals.sums[3] <= costs.memory_bytes[1] and totals.barred[1] == 0
    return totals.sums[1] + totals.sums[2] if fits else np.inf


@njit(cache=True, nogil=True)
def host_ms(costs: SetCosts, totals: SetTotals) -> float:
    """Work of the set on the host; ``inf`` if it cannot be there."""
    return totals.sums[0] if totals.sums[3] <= costs.memory_bytes[0] and totals.barred[0] == 0 else np.inf


@njit(cache=True, nogil=True)
def least_ms(costs: SetCosts, totals: SetTotals) -> float:
    """What no larger set falls below on either device."""
    there = totals.sums[3] <= costs.memory_bytes[1] and totals.barred[1] == 0
    here = totals.sums[3] <= costs.memory_bytes[0] and totals.barred[0] == 0
    return min(totals.sums[1] if there else np.inf, totals.sums[0] if here else np.inf)
