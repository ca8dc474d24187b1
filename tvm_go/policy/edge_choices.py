"""The edges of a model's graph at which fusing is a choice, in units that are decided together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.arrays import freeze_arrays
from tvm_go.graph import Int32, Int64, OpGraph
from tvm_go.legalize import legalize
from tvm_go.rules import Rules, RuleView, kernel_breach, rule_view
from tvm_go.search.sites import edge_classes

Float32 = NDArray[np.float32]

KERNEL_OP_FEATURES = 22
KERNEL_GRAPH_FEATURES = 6
UNIT_FEATURES = 27
_GAIN_FEATURES = 3  # the last of them
_SURE = 0.1  # percent: what is expected to gain less may as well lose


@dataclass(frozen=True, eq=False)
class EdgeChoices:
    """E edges of a graph of N ops, in U units. A unit is all edges that stand at the same place in equal kernels.

    Attributes
    ----------
    edge : int32 [E]
        Number of each edge in the graph.
    source, reader : int32 [E]
    unit : int64 [E]
    unit_features : float32 [U, UNIT_FEATURES]
        The last are those of `with_gains`, 0 without it.
    merges_by_default : bool [U]
        Whether FuseOps merges the edges of a unit.
    colocation : int64 [U]
        Class of ops that a unit counts to: that of the reader of its first edge.
    """

    edge: Int32
    source: Int32
    reader: Int32
    unit: Int64
    unit_features: Float32
    merges_by_default: NDArray[np.bool_]
    colocation: Int64

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def num_units(self) -> int:
        return len(self.merges_by_default)

    def with_gains(self, gains: NDArray[np.float64]) -> EdgeChoices:
        """Tell what is expected of each unit's other decision, if it alone is made otherwise than by FuseOps.

        Parameters
        ----------
        gains : float64 [U]
            Share of the default's time that it saves, negative if it loses, ``-inf`` if a kernel fails.
        """
        percent = np.where(np.isfinite(gains), gains, -1.0) * 100
        told = np.stack([np.ones_like(gains), np.sign(percent) * np.log1p(np.abs(percent)), percent > _SURE], axis=1)
        features = self.unit_features.copy()
        features[:, -_GAIN_FEATURES:] = told
        return replace(self, unit_features=features)

    @property
    def without_gains(self) -> EdgeChoices:
        """As if nothing was told of the units' other decisions."""
        features = self.unit_features.copy()
        features[:, -_GAIN_FEATURES:] = 0
        return replace(self, unit_features=features)

    def partition(self, graph: OpGraph, merges: NDArray[np.integer], rules: Rules) -> Int32:
        """The legal partition that comes nearest to what was decided: int32 [N].

        Where not all can be merged, what FuseOps merges goes first.

        Parameters
        ----------
        merges : integer [U]
            Whether to merge the edges of each unit, 0 or 1.
        """
        priority = np.zeros(graph.num_edges, dtype=np.int64)
        priority[self.edge] = (merges * (1 + self.merges_by_default))[self.unit]
        return legalize(graph, priority, rules)

    def merges(self, graph: OpGraph, kernel: Int32) -> Int64:
        """Decisions that come near to a partition: what is done at most edges of a unit, int64 [U]."""
        inside = kernel[graph.edge_src[self.edge]] == kernel[graph.edge_dst[self.edge]]
        count = np.bincount(self.unit, minlength=self.num_units)
        return (2 * np.bincount(self.unit, weights=inside, minlength=self.num_units) > count).astype(np.int64)


def units_of(graph: OpGraph, default: Int32, rules: Rules) -> tuple[Int32, Int64]:
    """Edges whose ends may be one kernel, int32 [E], and the unit of each, int64 [E], numbered by first edge."""
    edges = legal_pairs(graph, rules)
    _, first, label = np.unique(edge_classes(graph, default)[edges], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return edges, rank[label.reshape(-1)]


def legal_pairs(graph: OpGraph, rules: Rules) -> Int32:
    """Edges whose ends may be one kernel: int32 [E].

    Every rule holds of a part of a kernel if it holds of the whole, so two ops that are no kernel never share one.
    """
    possible = _may_merge(graph.edge_dst, rule_view(graph, rules))
    fixed = graph.fixed[graph.edge_src] | graph.fixed[graph.edge_dst]
    return np.flatnonzero(possible & ~fixed).astype(np.int32)


@njit(cache=True)
def _may_merge(edge_dst: Int32, view: RuleView) -> NDArray[np.bool_]:
    """Whether the two ends of each edge may be one kernel: bool [edges]."""
    count = len(view.pattern)
    inside, after = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    result = np.empty(len(edge_dst), dtype=np.bool_)
    pair = np.empty(2, dtype=np.int32)
    for e in range(len(edge_dst)):
        pair[0], pair[1] = view.edge_src[e], edge_dst[e]
        result[e] = kernel_breach(pair, view, inside, after) == 0
    return result
