"""Split groups of ops where an op is used outside that may be used inside only."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64, OpGraph, Pattern
from tvm_go.kernels import members
from tvm_go.merge import components
from tvm_go.rules import Rules

Bools = NDArray[np.bool_]

_INJECTIVE = int(Pattern.INJECTIVE)
_REDUCTION = int(Pattern.REDUCTION)
_OUT_FUSABLE = int(Pattern.OUT_FUSABLE)


def split_by_outputs(graph: OpGraph, group: Int32, rules: Rules) -> Int32:
    """Split groups until each has only outputs that the rule set allows; a legal group stays whole.

    Parameters
    ----------
    group : int32 [N]
        Group of each op, numbered 0..G-1; under a wide rule set without cycles between groups.

    Returns
    -------
    int32 [N]
        Without cycles between groups.
    """
    if rules.is_open:
        return group
    if not rules.wide:
        return _cones(group, *graph.out_edges, graph.edge_dst, graph.op_returned)
    side = _sides(*members(group), group, graph.pattern, *graph.out_edges, graph.edge_dst, graph.op_returned)
    label = group.astype(np.int64) * 3 + side
    inner = np.flatnonzero(label[graph.edge_src] == label[graph.edge_dst])
    return components(graph.num_ops, graph.edge_src[inner], graph.edge_dst[inner])


@njit(cache=True)
def _cones(group: Int32, out_start: Int64, out_edge: Int32, edge_dst: Int32, returned: Bools) -> Int32:
    """Parts of which all but one op are used inside that part only: int32 [N].

    Such parts are fan-out-free cones: a path that leaves one leaves through its last op, so no cycle can arise.
    """
    count = len(group)
    part = np.empty(count, dtype=np.int32)
    parts = 0
    for op in range(count - 1, -1, -1):
        joined = -1
        alone = returned[op] or out_start[op] == out_start[op + 1]
        for i in range(out_start[op], out_start[op + 1]):
            reader = edge_dst[out_edge[i]]
            if group[reader] != group[op] or (joined >= 0 and part[reader] != joined):
                alone = True
                break
            joined = part[reader]
        if alone:
            part[op] = parts
            parts += 1
        else:
            part[op] = joined
    return part


@njit(cache=True)
def _sides(
    starts: Int64,
    ops: Int32,
    group: Int32,
    pattern: NDArray[np.int8],
    out_start: Int64,
    out_edge: Int32,
    edge_dst: Int32,
    returned: Bools,
) -> NDArray[np.int8]:
    """Of each op in a group around an anchor: 0 stays with it, 1 goes before it, 2 after it. int8 [N].

    What stays is the last op after the anchor with all that leads to it, less what comes before the anchor and is used
    elsewhere too, with all that leads to that. Both cuts are closed, so no cycle arises: before, anchor, after.
    """
    side = np.zeros(len(group), dtype=np.int8)
    after_anchor = np.zeros(len(group), dtype=np.bool_)
    stays = np.zeros(len(group), dtype=np.bool_)
    for g in range(len(starts) - 1):
        inside = ops[starts[g] : starts[g + 1]]
        anchor = -1
        moves = False
        for op in inside:
            if pattern[op] == _OUT_FUSABLE or pattern[op] == _REDUCTION:
                anchor = op
            moves |= pattern[op] == _INJECTIVE
        if len(inside) == 1 or anchor < 0 or (pattern[anchor] == _REDUCTION and not moves):
            continue
        last = anchor
        after_anchor[anchor] = True
        for op in inside:
            if after_anchor[op]:
                last = op
                for i in range(out_start[op], out_start[op + 1]):
                    reader = edge_dst[out_edge[i]]
                    after_anchor[reader] |= group[reader] == g
        stays[last] = True
        for k in range(len(inside) - 1, -1, -1):
            op = inside[k]
            leads, elsewhere = op == last, returned[op]
            for i in range(out_start[op], out_start[op + 1]):
                reader = edge_dst[out_edge[i]]
                leads |= group[reader] == g and stays[reader]
                elsewhere |= group[reader] != g or not stays[reader]
            stays[op] = leads and (after_anchor[op] or not elsewhere)
        for k in range(len(inside) - 1, -1, -1):
            op = inside[k]
            side[op] = 0 if stays[op] else 2
            if not stays[op]:
                for i in range(out_start[op], out_start[op + 1]):
                    reader = edge_dst[out_edge[i]]
                    if group[reader] == g and (stays[reader] or side[reader] == 1):
                        side[op] = 1
        for op in inside:
            stays[op] = False
            after_anchor[op] = False
    return side
