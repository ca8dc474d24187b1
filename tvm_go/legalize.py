"""The legaliser: merge priorities per edge become kernels that are always valid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.errors import PlanError
from tvm_go.graph import Int32, Int64, OpGraph
from tvm_go.kernels import members
from tvm_go.merge import components, merge_in_order
from tvm_go.rules import BREACH_TEXTS, Breach, Rules, RuleView, kernel_breach, rule_set, rule_view
from tvm_go.split import split_by_outputs

Bools = NDArray[np.bool_]


def legalize(graph: OpGraph, priority: NDArray[np.integer], rules: Rules) -> Int32:
    """Merge edges in order of priority, skip what would be illegal.

    A request that is legal as a whole is granted as a whole, in linear time: therefore each legal partition,
    encoded with priority 1 on its inner edges, decodes to itself. Otherwise edges are merged one by one, the highest
    priority first and then in topological order, while the rules hold and no cycle between kernels appears.

    Parameters
    ----------
    graph : OpGraph
    priority : integer [E]
        Per edge: 0 or less cuts, more asks for a merge; any values are acceptable.
    rules : Rules

    Returns
    -------
    int32 [N]
        Kernel of each op, numbered in execution order.
    """
    if len(priority) != graph.num_edges:
        raise PlanError(f"{len(priority)} merge priorities for a graph of {graph.num_edges} edges: give one per edge")
    wanted = np.flatnonzero(priority > 0)
    group = components(graph.num_ops, graph.edge_src[wanted], graph.edge_dst[wanted])
    if partition_breach(graph, group, rules)[0] != Breach.NONE:
        ordered = wanted[np.argsort(-priority[wanted].astype(np.int64), kind="stable")].astype(np.int32)
        group = split_by_outputs(graph, merge_in_order(graph, ordered, rules), rules)
    return execution_order(graph, group)


def encode(graph: OpGraph, kernel: Int32) -> NDArray[np.int32]:
    """Invert :func:`legalize`: priority 1 on the edges inside a kernel, 0 on all others; int32 [E]."""
    return (kernel[graph.edge_src] == kernel[graph.edge_dst]).astype(np.int32)


def te_takes(graph: OpGraph, ops: Sequence[int]) -> bool:
    """Whether a TE schedule may be expected to take a kernel: whether its ops are legal together under ``wide``."""
    members_of = np.sort(np.asarray(ops, dtype=np.int32))
    scratch = np.zeros((2, graph.num_ops), dtype=np.bool_)
    breach = kernel_breach(members_of, rule_view(graph, rule_set("wide")), scratch[0], scratch[1])
    return bool(breach == 0)


def check_partition(graph: OpGraph, kernel: Int32, rules: Rules) -> None:
    """Raise :class:`PlanError`, naming the kernel and the rule, unless the partition is legal under the rules."""
    if len(kernel) != graph.num_ops:
        raise PlanError(f"the plan covers {len(kernel)} ops and the graph has {graph.num_ops}: it is for another model")
    if graph.num_ops == 0:
        return
    breach, number = partition_breach(graph, kernel, rules)
    if breach != Breach.NONE:
        ops = np.flatnonzero(kernel == number)
        names = " + ".join(graph.name(int(op)) for op in ops[:6]) + (" + ..." if len(ops) > 6 else "")
        raise PlanError(f"kernel {number} ({names}) is illegal under rule set '{rules.name}': {BREACH_TEXTS[breach]}")


def partition_breach(graph: OpGraph, kernel: Int32, rules: Rules) -> tuple[Breach, int]:
    """The first rule that a partition breaks and the kernel that breaks it; ``(Breach.NONE, -1)`` if legal.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op, numbered 0..K-1 in any order.
    """
    starts, ops = members(kernel)
    breach, number = _first_breach(starts, ops, rule_view(graph, rules))
    if breach:
        return Breach(breach), int(number)
    inner = np.flatnonzero(kernel[graph.edge_src] == kernel[graph.edge_dst])
    parts = components(graph.num_ops, graph.edge_src[inner], graph.edge_dst[inner])
    if parts.max(initial=-1) + 1 != len(starts) - 1:
        return Breach.CONNECTED, _first_divided(kernel, parts)
    order, done = _topological(kernel, starts, ops, graph.edge_src, graph.edge_dst)
    if done < len(starts) - 1:
        return Breach.CYCLE, int(np.flatnonzero(order < 0)[0])
    split = split_by_outputs(graph, kernel, rules)
    if split.max(initial=-1) + 1 != len(starts) - 1:
        return Breach.OUTPUTS, _first_divided(kernel, split)
    return Breach.NONE, -1


def _first_divided(kernel: Int32, parts: Int32) -> int:
    """The first kernel that has more than one part."""
    pairs = np.unique(np.stack([kernel, parts], axis=1), axis=0)[:, 0]
    return int(pairs[:-1][pairs[1:] == pairs[:-1]][0])


def execution_order(graph: OpGraph, kernel: Int32) -> Int32:
    """Renumber kernels so that each comes after what it reads, as close to the model's own order as possible.

    Returns
    -------
    int32 [N]

    Raises
    ------
    PlanError
        If kernels depend on each other in a cycle.
    """
    starts, ops = members(kernel)
    order, done = _topological(kernel, starts, ops, graph.edge_src, graph.edge_dst)
    if done < len(starts) - 1:
        raise PlanError(f"{len(starts) - 1 - done} kernels depend on each other in a cycle")
    return order[kernel]


@njit(cache=True)
def _first_breach(starts: Int64, ops: Int32, view: RuleView) -> tuple[int, int]:
    count = len(view.pattern)
    inside, after = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    for k in range(len(starts) - 1):
        breach = kernel_breach(ops[starts[k] : starts[k + 1]], view, inside, after)
        if breach:
            return breach, k
    return 0, -1


@njit(cache=True)
def _topological(kernel: Int32, starts: Int64, ops: Int32, edge_src: Int32, edge_dst: Int32) -> tuple[Int32, int]:
    """Kahn's algorithm over kernels, the one whose last op comes first going first.

    Returns the position of each kernel (-1 for kernels on or behind a cycle) and how many were placed.
    """
    count = len(starts) - 1
    waiting = np.zeros(count, dtype=np.int64)
    out_count = np.zeros(count + 1, dtype=np.int64)
    for e in range(len(edge_src)):
        a, b = kernel[edge_src[e]], kernel[edge_dst[e]]
        if a != b:
            waiting[b] += 1
            out_count[a + 1] += 1
    out_start = np.cumsum(out_count)
    fill = out_start[:-1].copy()
    out = np.empty(out_start[-1], dtype=np.int32)
    for e in range(len(edge_src)):
        a, b = kernel[edge_src[e]], kernel[edge_dst[e]]
        if a != b:
            out[fill[a]] = b
            fill[a] += 1
    kernel_of_last = np.full(len(kernel), -1, dtype=np.int32)
    last = np.empty(count, dtype=np.int64)
    for k in range(count):
        last[k] = ops[starts[k + 1] - 1]
        kernel_of_last[last[k]] = k
    # The scan over last ops visits each once; a kernel that becomes ready behind the scan runs at once.
    order = np.full(count, -1, dtype=np.int32)
    done = 0
    stack = np.empty(count, dtype=np.int32)
    for op in range(len(kernel)):
        top = 0
        k = kernel_of_last[op]
        if k >= 0 and order[k] < 0 and waiting[k] == 0:
            stack[0] = k
            top = 1
        while top:
            top -= 1
            k = stack[top]
            order[k] = done
            done += 1
            for i in range(out_start[k], out_start[k + 1]):
                reader = out[i]
                waiting[reader] -= 1
                if waiting[reader] == 0 and last[reader] <= op:
                    stack[top] = reader
                    top += 1
    return order, done
