"""Where ops stand in their graph: levels and longest paths, which no numbering of the ops changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.workload import Floats


class Depth(NamedTuple):
    """Of N ops.

    Attributes
    ----------
    level, height : int64 [N]
        Edges on the longest path from any source, and to any sink.
    before_ms, after_ms : float64 [N]
        Most work on a path that ends before the op, and on one that begins with it.
    """

    level: Int64
    height: Int64
    before_ms: Floats
    after_ms: Floats


@njit(cache=True, nogil=True)
def depth_of(edge_src: Int32, edge_dst: Int32, op_ms: Floats) -> Depth:
    """Walk over the edges twice: they are sorted by reader, and ops stand in topological order; O(N + E)."""
    count = len(op_ms)
    level, height = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    before_ms, after_ms = np.zeros(count, dtype=np.float64), op_ms.copy()
    for e in range(len(edge_src)):
        source, reader = edge_src[e], edge_dst[e]
        level[reader] = max(level[reader], level[source] + 1)
        before_ms[reader] = max(before_ms[reader], before_ms[source] + op_ms[source])
    for e in range(len(edge_src) - 1, -1, -1):
        source, reader = edge_src[e], edge_dst[e]
        height[source] = max(height[source], height[reader] + 1)
        after_ms[source] = max(after_ms[source], op_ms[source] + after_ms[reader])
    return Depth(level, height, before_ms, after_ms)


def progress(weight: Floats, place: Int64) -> Floats:
    """Part of all weight that stands in smaller places, and half of that in the own place: float64 [N] in (0, 1).

    Without any weight all places weigh the same.
    """
    places = int(place.max(initial=-1)) + 1
    of_place = np.bincount(place, weights=weight, minlength=places)
    if not of_place.sum():
        of_place = np.bincount(place, minlength=places).astype(np.float64)
    middle = np.cumsum(of_place) - of_place / 2
    return np.asarray(middle / of_place.sum())[place]
