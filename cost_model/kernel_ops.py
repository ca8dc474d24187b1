"""The ops of kernels and how they feed each other, as arrays that a graph network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cost_model.features import KINDS, OPERATORS, Floats, OpTable
from tvm_go.graph import Int32, Int64, OpGraph, Pattern

_OPERATOR = {name: number for number, name in enumerate(OPERATORS)}


class OpBatch(NamedTuple):
    """Some kernels as one graph of N ops and E edges.

    Attributes
    ----------
    lengths : int64 [B]
        Ops of each kernel.
    ops : int64 [N]
        Which of all ops these are.
    source, reader : int64 [E]
        Numbers below N; each edge stands in both directions.
    """

    lengths: Int64
    ops: Int64
    source: Int64
    reader: Int64


@dataclass(frozen=True, eq=False)
class KernelOps:
    """K kernels as graphs of N ops and E edges, one kernel after the other.

    Attributes
    ----------
    op_start, edge_start : int64 [K + 1]
        ``[op_start[k], op_start[k + 1])`` are the ops of kernel ``k``.
    table : float64 [N, D]
        What is known of each op.
    source, reader : int64 [E]
        Op that feeds and op that reads, counted from the first op of their kernel.
    """

    op_start: Int64
    edge_start: Int64
    table: Floats
    source: Int64
    reader: Int64

    @staticmethod
    def of(graph: OpGraph, kernel: Int32, table: OpTable) -> KernelOps:
        """The kernels of a graph that has no edge between them.

        Parameters
        ----------
        kernel : int32 [N]
            Kernel of each op, which never falls.
        table : OpTable
            Of the graph.
        """
        ends = np.arange(int(kernel.max(initial=-1)) + 2)
        op_start = np.searchsorted(kernel, ends)
        of_edge = kernel[graph.edge_dst]
        first = op_start[of_edge]
        return KernelOps(
            op_start=op_start,
            edge_start=np.searchsorted(of_edge, ends),
            table=_op_rows(graph, table),
            source=graph.edge_src - first,
            reader=graph.edge_dst - first,
        )

    def __len__(self) -> int:
        return len(self.op_start) - 1

    def batch(self, which: Int64) -> OpBatch:
        """Some kernels, by their numbers: int64 [B]."""
        lengths = np.diff(self.op_start)[which]
        edges = _spans(self.edge_start, which)
        first = np.repeat(np.cumsum(lengths) - lengths, np.diff(self.edge_start)[which])
        source, reader = self.source[edges] + first, self.reader[edges] + first
        both = np.concatenate([source, reader]), np.concatenate([reader, source])
        return OpBatch(lengths, _spans(self.op_start, which), *both)


def _op_rows(graph: OpGraph, table: OpTable) -> Floats:
    """What is known of each op: float64 [N, D]."""
    constant = ~np.isnan(graph.value_scalar[graph.use_value])
    outside = ~constant & (graph.value_op[graph.use_value] < 0)
    read_bytes = graph.value_bytes[graph.use_value].astype(np.float64)
    operator = np.array([_OPERATOR.get(name, len(OPERATORS)) for name in graph.op_names], dtype=np.int64)

    def of_uses(weights: NDArray[Any]) -> Floats:
        return np.bincount(graph.use_op, weights=weights, minlength=graph.num_ops).astype(np.float64)

    amounts = [
        graph.flops,
        table.elements,
        table.out_bytes,
        of_uses(read_bytes * ~constant),
        of_uses(read_bytes * outside),
        of_uses(np.ones(len(constant))),
        of_uses(constant),
    ]
    return np.column_stack(
        [
            np.eye(len(OPERATORS) + 1)[operator[graph.op_name]],
            np.eye(len(KINDS))[table.kind],
            np.eye(max(Pattern) + 1)[graph.pattern],
            graph.pattern >= Pattern.REDUCTION,
            graph.free,
            graph.op_returned,
            *(np.log2(1.0 + amount) for amount in amounts),
            np.log2(1.0 + table.nest),
        ]
    )


def _spans(starts: Int64, which: Int64) -> Int64:
    """All numbers in ``[starts[k], starts[k + 1])``, for each ``k`` of which one after the other."""
    lengths = np.diff(starts)[which]
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts[which] - before, lengths)
