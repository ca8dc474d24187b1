"""Numbers for clusters, so that clusters with neighbouring numbers have to do with one another."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.simulate import Workload


def renumbered(workload: Workload, cluster: Int32) -> Int32:
    """Number clusters so that each comes after all that it reads from, just before the first that needs it: int32 [N].

    In the given order, weights may all come first, far from their readers. Where clusters read from one another in a
    circle, what closes the circle is passed over.
    """
    count = int(cluster.max(initial=-1)) + 1
    edges = np.stack([cluster[workload.edge_dst], cluster[workload.edge_src]], axis=1)
    edges = np.unique(edges[edges[:, 0] != edges[:, 1]], axis=0)
    start = np.searchsorted(edges[:, 0], np.arange(count + 1))
    is_read = np.zeros(count, dtype=np.bool_)
    is_read[edges[:, 1]] = True
    roots = np.argsort(
        is_read, kind="stable"
    )  # those that nothing reads first; the rest only where a circle hides them
    return _depth_first(roots, start, np.ascontiguousarray(edges[:, 1]))[cluster]


@njit(cache=True, nogil=True)
def _depth_first(roots: Int64, start: Int64, producer: Int32) -> Int32:
    count = len(roots)
    place = np.full(count, -1, dtype=np.int32)
    entered = np.zeros(count, dtype=np.bool_)
    following = start[:-1].copy()  # the next edge to look at
    stack = np.empty(count, dtype=np.int64)
    placed = 0
    for root in roots:
        if entered[root]:
            continue
        stack[0] = root
        entered[root] = True
        depth = 1
        while depth:
            one = stack[depth - 1]
            if following[one] < start[one + 1]:
                before = producer[following[one]]
                following[one] += 1
                if not entered[before]:
                    entered[before] = True
                    stack[depth] = before
                    depth += 1
            else:
                place[one] = placed
                placed += 1
                depth -= 1
    return place
