"""Where partitions can change: edges that look alike, for what is good at one is as good at all, and moves there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64, OpGraph
from tvm_go.kernels import kernel_keys, members
from tvm_go.legalize import encode, legalize
from tvm_go.search.problem import Problem

Ints = NDArray[np.integer[Any]]


def edge_classes(graph: OpGraph, kernel: Int32) -> Int32:
    """Number edges so that equal numbers mean equal places in equal kernels: int32 [E].

    Two edges are alike if their ends are the same ops of structurally equal kernels. Networks repeat their blocks,
    so a search that treats alike edges together measures one kernel where it would otherwise measure dozens.
    """
    keys = kernel_keys(graph, kernel)
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    kind = np.array([number[key] for key in keys], dtype=np.int64)
    starts, ops = members(kernel)
    local = np.empty(graph.num_ops, dtype=np.int64)
    local[ops] = np.arange(graph.num_ops) - starts[kernel[ops]]
    ends = np.stack(
        [
            kind[kernel[graph.edge_src]],
            local[graph.edge_src],
            kind[kernel[graph.edge_dst]],
            local[graph.edge_dst],
            kernel[graph.edge_src] == kernel[graph.edge_dst],
        ],
        axis=1,
    )
    return np.unique(ends, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)


def moved(problem: Problem, kernel: Int32, edges: Int32) -> Int32:
    """Merge the kernels at both ends of the edges, or, where an edge lies within a kernel, cut the kernel there."""
    graph = problem.graph
    inner = kernel[graph.edge_src[edges]] == kernel[graph.edge_dst[edges]]
    if not inner.all():
        return problem.merged(kernel, edges[~inner])
    priority = encode(graph, kernel)
    for edge in edges:
        priority[_cut(problem, kernel, int(edge))] = 0
    return legalize(graph, priority, problem.rules)


def _cut(problem: Problem, kernel: Int32, edge: int) -> Int32:
    """Edges of one kernel between what the edge's reader leads to and the rest: without them no cycle can arise."""
    graph = problem.graph
    starts, order = graph.out_edges
    below = {int(graph.edge_dst[edge])}
    todo = list(below)
    while todo:
        op = todo.pop()
        for reader in graph.edge_dst[order[starts[op] : starts[op + 1]]].tolist():
            if kernel[reader] == kernel[op] and reader not in below:
                below.add(reader)
                todo.append(reader)
    into = np.concatenate([np.arange(graph.edge_start[op], graph.edge_start[op + 1]) for op in sorted(below)])
    return into[~np.isin(graph.edge_src[into], sorted(below))].astype(np.int32)


def neighbours(source: Ints, reader: Ints, group: Ints) -> Int64:
    """Pairs of groups of edges that meet at an op: int64 [P, 2], each once; of many at one op only some.

    Parameters
    ----------
    source, reader, group : int [E]
        Ops at both ends of each edge, and its group.
    """
    ends, groups = np.concatenate([source, reader]), np.concatenate([group, group]).astype(np.int64)
    order = np.argsort(ends, kind="stable")
    ends, groups = ends[order], groups[order]
    found = [
        np.stack([groups[:-step], groups[step:]], axis=1)[ends[:-step] == ends[step:]]
        for step in range(1, min(4, len(ends)))
    ]
    pairs = np.sort(np.concatenate(found), axis=1) if found else np.empty((0, 2), dtype=np.int64)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0).reshape(-1, 2)
