"""Workload: a dataflow graph whose costs are given, as frozen arrays."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tvm_go.arrays import freeze_arrays, run_starts
from tvm_go.errors import UnsupportedModelError
from tvm_go.graph import Int32, Int64

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Workload:
    """What a simulated machine runs: N ops, E edges, K kinds of devices. Ops stand in topological order.

    An op makes one tensor (several outputs move together). It travels at most once to each device that reads it.

    Attributes
    ----------
    name : str
    op_ids : tuple of str or int
        What the ops are called in the file that they came from: [N].
    kinds : tuple of str
        Kinds of devices that costs are known for: [K].
    op_ms : float64 [N, K]
        Milliseconds of each op on each kind of device; ``inf`` where it cannot run.
    resident_bytes : float64 [N]
        What an op keeps on its device all the time: weights, optimiser state.
    output_bytes : float64 [N]
        Size of the tensor that an op makes; it is kept on a device until it was read there for the last time.
    edge_src, edge_dst : int32 [E]
        Sorted by reader, then producer; no edge twice.
    colocation : int32 [N]
        Ops of one class share a device; classes are numbered from 0 by their first op.
    """

    name: str
    op_ids: tuple[str | int, ...]
    kinds: tuple[str, ...]
    op_ms: Floats
    resident_bytes: Floats
    output_bytes: Floats
    edge_src: Int32
    edge_dst: Int32
    colocation: Int32

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def num_ops(self) -> int:
        return len(self.op_ids)

    @property
    def num_edges(self) -> int:
        return len(self.edge_src)

    @property
    def num_classes(self) -> int:
        return int(self.colocation.max(initial=-1)) + 1

    @cached_property
    def producers(self) -> tuple[Int64, Int32]:
        """Ops that each op reads: ``starts`` int64 [N + 1] and producers int32 [E]."""
        return run_starts(self.edge_dst, self.num_ops), self.edge_src

    @cached_property
    def readers(self) -> tuple[Int64, Int32]:
        """Ops that read each op: ``starts`` int64 [N + 1] and readers int32 [E], ascending."""
        order = np.argsort(self.edge_src, kind="stable")
        return run_starts(self.edge_src[order], self.num_ops), self.edge_dst[order]

    @cached_property
    def class_members(self) -> tuple[Int64, Int32]:
        """Ops of each colocation class: ``starts`` int64 [C + 1] and ops int32 [N], ascending."""
        order = np.argsort(self.colocation, kind="stable").astype(np.int32)
        return run_starts(self.colocation[order], self.num_classes), order

    @property
    def class_first(self) -> Int32:
        """First op of each colocation class: int32 [C]."""
        starts, ops = self.class_members
        return ops[starts[:-1]]

    @classmethod
    def of(
        cls,
        name: str,
        kinds: tuple[str, ...],
        op_ms: Floats,
        edges: NDArray[np.integer],
        *,
        output_bytes: Floats,
        resident_bytes: Floats | None = None,
        colocation: NDArray[np.integer] | None = None,
        op_ids: tuple[str | int, ...] | None = None,
    ) -> Workload:
        """Sort ops into a topological order that keeps the given order where it can, and edges by reader.

        Parameters
        ----------
        edges : int [E, 2]
            Producer and reader; an edge that is there twice counts once.
        colocation : int [N], optional
            Any labels; ops of equal label share a device. -1 stands for an op that is free.

        Raises
        ------
        UnsupportedModelError
            If the graph has a cycle.
        """
        count = len(op_ms)
        pairs: Int64 = np.unique(np.asarray(edges, dtype=np.int64).reshape(-1, 2), axis=0)
        order = _topological(count, pairs)
        if len(order) < count:
            left = np.setdiff1d(np.arange(count), order)
            ids = range(count) if op_ids is None else op_ids
            raise UnsupportedModelError(
                f"{name}: the graph has a cycle through or before op {ids[int(left[0])]}; "
                "a dataflow graph must be acyclic, so break the cycle in the file"
            )
        place = np.empty(count, dtype=np.int64)
        place[order] = np.arange(count)
        pairs = place[pairs]
        pairs = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
        labels = np.full(count, -1) if colocation is None else np.asarray(colocation)[order]
        labels = np.where(labels < 0, labels.max(initial=-1) + 1 + np.arange(count), labels)
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int32)
        rank[np.argsort(first)] = np.arange(len(first))
        resident = np.zeros(count) if resident_bytes is None else resident_bytes
        return cls(
            name=name,
            op_ids=tuple(range(count)) if op_ids is None else tuple(op_ids[i] for i in order.tolist()),
            kinds=kinds,
            op_ms=np.ascontiguousarray(op_ms[order], dtype=np.float64),
            resident_bytes=np.ascontiguousarray(resident[order], dtype=np.float64),
            output_bytes=np.ascontiguousarray(output_bytes[order], dtype=np.float64),
            edge_src=pairs[:, 0].astype(np.int32),
            edge_dst=pairs[:, 1].astype(np.int32),
            colocation=rank[inverse.reshape(-1)],
        )


def _topological(count: int, edges: Int64) -> Int64:
    """Producers first, the smallest number first where several may come; shorter than [N] if there is a cycle."""
    if count == 0 or (len(edges) and (edges[:, 0] < edges[:, 1]).all()) or not len(edges):
        return np.arange(count)
    waiting = np.bincount(edges[:, 1], minlength=count).tolist()
    by_source = edges[np.argsort(edges[:, 0], kind="stable")]
    starts = np.searchsorted(by_source[:, 0], np.arange(count + 1)).tolist()
    readers = by_source[:, 1].tolist()
    ready = [op for op in range(count) if not waiting[op]]
    order = []
    while ready:
        op = heapq.heappop(ready)
        order.append(op)
        for reader in readers[starts[op] : starts[op + 1]]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    return np.array(order, dtype=np.int64)
