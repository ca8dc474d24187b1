"""Merge groups of ops edge by edge, keeping the graph of groups acyclic (dynamic topological order)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64, OpGraph
from tvm_go.rules import Rules, RuleView, kernel_breach, rule_view

Bools = NDArray[np.bool_]

# A search for a second path between two groups may visit this many groups, and all searches together this many per
# op and edge; beyond that a merge counts as illegal. Only requests that break a rule somewhere come here, and the
# bound keeps them near linear; what it costs is a merge across a long detour.
_VISITS_PER_MERGE = 4096
_VISITS_PER_ELEMENT = 64
_VISITS_WHEN_SPENT = 32


def merge_in_order(graph: OpGraph, edges: Int32, rules: Rules) -> Int32:
    """Merge the groups at the ends of each edge in turn, where the result is legal; int32 [N], numbered 0..K-1.

    What may be used outside a kernel is not looked at: the caller splits for that afterwards. Nor are cycles under rule
    sets that are not wide, for that split removes them.

    Parameters
    ----------
    edges : int32
        Edge numbers, in the order in which they are tried.
    """
    return _merge(edges, rule_view(graph, rules), graph.edge_dst, *graph.out_edges)


@njit(cache=True)
def _levels_order(edge_start: Int64, edge_src: Int32) -> Int64:
    """Position of each op when sorted by longest path from the sources: neighbours get near positions. int64 [N]."""
    count = len(edge_start) - 1
    level = np.zeros(count, dtype=np.int64)
    for op in range(count):
        for e in range(edge_start[op], edge_start[op + 1]):
            level[op] = max(level[op], level[edge_src[e]] + 1)
    position = np.empty(count, dtype=np.int64)
    position[np.argsort(level, kind="mergesort")] = np.arange(count)
    return position


@njit(cache=True)
def find(parent: Int32, x: int) -> int:
    """Root of ``x`` in a union-find forest, halving the path on the way."""
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@njit(cache=True)
def components(count: int, source: Int32, target: Int32) -> Int32:
    """Connected components, numbered by their first op: int32 [count]."""
    parent = np.arange(count).astype(np.int32)
    for i in range(len(source)):
        a, b = find(parent, source[i]), find(parent, target[i])
        if a != b:
            parent[max(a, b)] = min(a, b)
    result = np.empty(count, dtype=np.int32)
    number = 0
    for op in range(count):
        root = find(parent, op)
        if root == op:
            result[op] = number
            number += 1
        else:
            result[op] = result[root]
    return result


@njit(cache=True)
def _search(
    start: int,
    goal: int,
    forward: bool,
    budget: int,
    position: Int64,
    parent: Int32,
    following: Int32,
    edge_start: Int64,
    edge_of: Int32,
    edge_end: Int32,
    seen: Int64,
    stamp: int,
    found: Int32,
) -> int:
    """Groups that ``start`` reaches (or, backward, that reach it) on the way to ``goal``'s position.

    The direct edges between the two are not a way. Returns how many groups stand in ``found``, or -1 if a second way to
    ``goal`` exists or the budget is spent.
    """
    count = 0
    seen[start] = stamp
    head = -1
    group = start
    while True:
        op = group
        while True:  # all members of the group
            for i in range(edge_start[op], edge_start[op + 1]):
                other = find(parent, edge_end[edge_of[i]])
                if other == goal:
                    if group != start:
                        return -1
                elif seen[other] != stamp:
                    between = position[other] < position[goal] if forward else position[other] > position[goal]
                    if between:
                        if count >= budget:
                            return -1
                        seen[other] = stamp
                        found[count] = other
                        count += 1
            op = following[op]
            if op == group:
                break
        head += 1
        if head >= count:
            return count
        group = found[head]


@njit(cache=True)
def _merge(edges: Int32, view: RuleView, edge_dst: Int32, out_start: Int64, out_edge: Int32) -> Int32:
    edge_start, edge_src, wide, max_ops = view.edge_start, view.edge_src, view.wide, view.max_ops
    count = len(view.pattern)
    parent = np.arange(count).astype(np.int32)
    following = np.arange(count).astype(np.int32)  # next member of the same group, in a ring
    size = np.ones(count, dtype=np.int64)
    position = _levels_order(edge_start, edge_src)
    in_edge = np.arange(len(edge_src)).astype(np.int32)
    inside, after = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    seen = np.full(count, -1, dtype=np.int64)
    down, up = np.empty(_VISITS_PER_MERGE, dtype=np.int32), np.empty(_VISITS_PER_MERGE, dtype=np.int32)
    both = np.empty(max_ops, dtype=np.int32)
    visits_left = _VISITS_PER_ELEMENT * (count + len(edge_src))
    stamp = 0
    for edge in edges:
        a, b = find(parent, edge_src[edge]), find(parent, edge_dst[edge])
        if a == b or size[a] + size[b] > max_ops:
            continue
        total = 0
        for group in (a, b):
            op = group
            while True:
                both[total] = op
                total += 1
                op = following[op]
                if op == group:
                    break
        ops = np.sort(both[:total])
        if kernel_breach(ops, view, inside, after):
            continue
        if wide:
            budget = _VISITS_PER_MERGE if visits_left > 0 else _VISITS_WHEN_SPENT
            below = _search(
                a, b, True, budget, position, parent, following, out_start, out_edge, edge_dst, seen, stamp, down
            )
            visits_left -= budget if below < 0 else below
            if below < 0:
                stamp += 1
                continue
            above = _search(
                b, a, False, budget, position, parent, following, edge_start, in_edge, edge_src, seen, stamp + 1, up
            )
            visits_left -= budget if above < 0 else above
            stamp += 2
            if above < 0:
                continue
            _reorder(a, b, down[:below], up[:above], position)
        parent[b] = a
        size[a] += size[b]
        following[a], following[b] = following[b], following[a]
    result = np.full(count, -1, dtype=np.int32)
    number = 0
    for op in range(count):
        root = find(parent, op)
        if result[root] < 0:
            result[root] = number
            number += 1
        result[op] = result[root]
    return result


@njit(cache=True)
def _reorder(a: int, b: int, below: Int32, above: Int32, position: Int64) -> None:
    """Give the merged group ``a`` a place after all that reaches ``b`` and before all that ``a`` reaches.

    Only the places of these groups are dealt anew (Pearce and Kelly, "A dynamic topological sort algorithm", 2007).
    """
    slots = np.empty(len(below) + len(above) + 2, dtype=np.int64)
    slots[0], slots[1] = position[a], position[b]
    for i in range(len(above)):
        slots[2 + i] = position[above[i]]
    for i in range(len(below)):
        slots[2 + len(above) + i] = position[below[i]]
    slots.sort()
    above_order = np.argsort(position[above])
    below_order = np.argsort(position[below])
    for i in range(len(above)):
        position[above[above_order[i]]] = slots[i]
    position[a] = slots[len(above)]
    for i in range(len(below)):
        position[below[below_order[i]]] = slots[len(above) + 2 + i]
