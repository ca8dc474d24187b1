"""Ops that go together, the tensors between them, and loads that change as one cluster moves to another device.

Everything here serves throughput: an op costs its device its time, a tensor costs its maker's device and each other
device that reads it one transfer. One move costs time in the number of tensors at the cluster, nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64
from tvm_go.merge import components
from tvm_go.simulate import Workload
from tvm_go.simulate.split_scores import SplitCosts
from tvm_go.simulate.workload import Floats


class Clusters(NamedTuple):
    """C clusters and the T tensors that are read outside the cluster that makes them, on D devices.

    Attributes
    ----------
    op_ms : float64 [C, D]
    resident_bytes : float64 [C]
    memory_bytes : float64 [D]
    maker : int32 [T]
    receive_ms, send_ms : float64 [T, D]
    reader_start, reader : int64 [T + 1], int32
        Clusters that read each tensor, its maker left out.
    tensor_start, tensor : int64 [C + 1], int32
        Tensors that each cluster makes or reads.
    """

    op_ms: Floats
    resident_bytes: Floats
    memory_bytes: Floats
    maker: Int32
    receive_ms: Floats
    send_ms: Floats
    reader_start: Int64
    reader: Int32
    tensor_start: Int64
    tensor: Int32


class Loads(NamedTuple):
    """Where each cluster is, and what follows from it.

    Attributes
    ----------
    device : int32 [C]
    load_ms, used_bytes : float64 [D]
    readers_on : int32 [T, D]
        Reading clusters of each tensor on each device.
    abroad : int32 [T]
        Devices other than the maker's on which a tensor is read.
    """

    device: Int32
    load_ms: Floats
    used_bytes: Floats
    readers_on: Int32
    abroad: Int32


def joined(workload: Workload, costs: SplitCosts, limit_ms: float) -> Int32:
    """Cluster of each op, int32 [N], numbered by first op: ops that any split below a limit keeps on one device.

    These are the ops of one colocation class, and the maker and readers of a tensor whose way to or from every
    accelerator alone takes as long as the limit.
    """
    count = workload.num_ops
    first = workload.class_first
    accelerators = ~costs.is_host
    way_ms = np.minimum(costs.receive_ms[:, accelerators], costs.send_ms[:, accelerators]).min(axis=1, initial=np.inf)
    heavy = way_ms[workload.edge_src] >= limit_ms
    source = np.concatenate([first[workload.colocation], workload.edge_src[heavy]])
    target = np.concatenate([np.arange(count, dtype=np.int32), workload.edge_dst[heavy]])
    return components(count, source, target)


def clusters_of(workload: Workload, costs: SplitCosts, cluster: Int32) -> Clusters:
    """Sum up what the ops of each cluster cost; tensors with one maker and one reader count as one tensor."""
    count = int(cluster.max(initial=-1)) + 1
    source, reader = cluster[workload.edge_src].astype(np.int64), cluster[workload.edge_dst].astype(np.int64)
    moved = (costs.receive_ms + costs.send_ms).max(axis=1, initial=0.0) > 0
    pairs = np.stack([workload.edge_src.astype(np.int64), reader], axis=1)[
        (source != reader) & moved[workload.edge_src]
    ]
    pairs = np.unique(pairs, axis=0)  # [P, 2]: op and reading cluster
    ops, first, fan_out = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    maker = cluster[ops]
    alone = np.where(fan_out == 1, pairs[first, 1], -1 - np.arange(len(ops)))
    _, keep, tensor_of = np.unique(np.stack([maker, alone], axis=1), axis=0, return_index=True, return_inverse=True)
    tensor_of = tensor_of.reshape(-1)
    kept = np.isin(pairs[:, 0], ops[keep])
    pair_tensor = tensor_of[np.searchsorted(ops, pairs[kept, 0])]
    order = np.argsort(pair_tensor, kind="stable")
    ends = np.unique(
        np.stack(
            [
                np.concatenate([maker[keep].astype(np.int64), pairs[kept, 1]]),
                np.concatenate([np.arange(len(keep)), pair_tensor]),
            ],
            axis=1,
        ),
        axis=0,
    )
    return Clusters(
        op_ms=sums_by(cluster, costs.op_ms, count),
        resident_bytes=np.bincount(cluster, workload.resident_bytes, count).astype(np.float64),
        memory_bytes=costs.memory_bytes,
        maker=maker[keep],
        receive_ms=sums_by(tensor_of, costs.receive_ms[ops], len(keep)),
        send_ms=sums_by(tensor_of, costs.send_ms[ops], len(keep)),
        reader_start=np.searchsorted(pair_tensor[order], np.arange(len(keep) + 1)),
        reader=pairs[kept, 1][order].astype(np.int32),
        tensor_start=np.searchsorted(ends[:, 0], np.arange(count + 1)),
        tensor=ends[:, 1].astype(np.int32),
    )


def sums_by(group: NDArray[np.integer], values: Floats, count: int) -> Floats:
    """Sum the rows of each group: float64 [count, D]."""
    columns = [np.bincount(group, column, count) for column in values.T]
    return np.ascontiguousarray(np.stack(columns, axis=1))


@njit(cache=True, nogil=True)
def loads_of(clusters: Clusters, device: Int32) -> Loads:
    """Everything from scratch; ``device`` is kept and changed by moves."""
    count, num_devices = clusters.op_ms.shape
    load_ms, used_bytes = np.zeros(num_devices), np.zeros(num_devices)
    for c in range(count):
        load_ms[device[c]] += clusters.op_ms[c, device[c]]
        used_bytes[device[c]] += clusters.resident_bytes[c]
    readers_on = np.zeros((len(clusters.maker), num_devices), dtype=np.int32)
    abroad = np.zeros(len(clusters.maker), dtype=np.int32)
    for t in range(len(clusters.maker)):
        here = device[clusters.maker[t]]
        for i in range(clusters.reader_start[t], clusters.reader_start[t + 1]):
            there = device[clusters.reader[i]]
            readers_on[t, there] += 1
            if readers_on[t, there] == 1 and there != here:
                abroad[t] += 1
                load_ms[there] += clusters.receive_ms[t, there]
        if abroad[t]:
            load_ms[here] += clusters.send_ms[t, here]
    return Loads(device, load_ms, used_bytes, readers_on, abroad)


@njit(cache=True, nogil=True)
def move(clusters: Clusters, loads: Loads, cluster: int, there: int) -> None:
    """Put one cluster on another device."""
    here = loads.device[cluster]
    if here == there:
        return
    load_ms, readers_on, abroad = loads.load_ms, loads.readers_on, loads.abroad
    loads.device[cluster] = there
    load_ms[here] -= clusters.op_ms[cluster, here]
    load_ms[there] += clusters.op_ms[cluster, there]
    loads.used_bytes[here] -= clusters.resident_bytes[cluster]
    loads.used_bytes[there] += clusters.resident_bytes[cluster]
    for i in range(clusters.tensor_start[cluster], clusters.tensor_start[cluster + 1]):
        t = clusters.tensor[i]
        if clusters.maker[t] == cluster:
            if abroad[t]:
                load_ms[here] -= clusters.send_ms[t, here]
            if readers_on[t, there]:
                load_ms[there] -= clusters.receive_ms[t, there]
                abroad[t] -= 1
            if readers_on[t, here]:
                load_ms[here] += clusters.receive_ms[t, here]
                abroad[t] += 1
            if abroad[t]:
                load_ms[there] += clusters.send_ms[t, there]
            continue
        home = loads.device[clusters.maker[t]]
        before = abroad[t]
        readers_on[t, here] -= 1
        if readers_on[t, here] == 0 and here != home:
            load_ms[here] -= clusters.receive_ms[t, here]
            abroad[t] -= 1
        readers_on[t, there] += 1
        if readers_on[t, there] == 1 and there != home:
            load_ms[there] += clusters.receive_ms[t, there]
            abroad[t] += 1
        if before and not abroad[t]:
            load_ms[home] -= clusters.send_ms[t, home]
        elif abroad[t] and not before:
            load_ms[home] += clusters.send_ms[t, home]
