"""Exact: the cheapest way through all partitions into small kernels, as a shortest path (Collage's idea).

A state is a set of ops that are done, closed under predecessors; a step runs one kernel whose inputs are done. Every
legal partition into the candidate kernels is a path, so the shortest path is the optimum of the oracle's costs.
"""

from __future__ import annotations

import logging

import numpy as np

from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import kernel_keys
from tvm_go.legalize import execution_order
from tvm_go.rules import Rules, kernel_breach, rule_view
from tvm_go.search.problem import Problem
from tvm_go.split import split_by_outputs

_DEPTH = 8  # most ops per candidate kernel
_MOST_CANDIDATES = 50_000
_MOST_STATES = 300_000

_LOGGER = logging.getLogger("tvm_go.search")


def search(problem: Problem, rng: np.random.Generator) -> None:
    """Measure all candidate kernels, then take the shortest path; gives up, and says why, where that is too much.

    Depth is lowered until the candidates fit into the budget; the log says what was searched.
    """
    for depth in range(_DEPTH, 0, -1):
        candidates = candidate_kernels(problem.graph, problem.rules, depth)
        if candidates is None:
            continue
        costs = _measure(problem, candidates)
        if costs is None:
            continue
        partition = _shortest_path(problem.graph, candidates, costs)
        if partition is None:
            _LOGGER.warning("exact: gave up at depth %d, more than %d states; the default stays", depth, _MOST_STATES)
            return
        _LOGGER.info("exact: optimum over %d kernels of up to %d ops", len(candidates), depth)
        problem.cost([partition])
        return
    _LOGGER.warning("exact: gave up, the budget does not cover the kernels of single ops; the default stays")


def candidate_kernels(graph: OpGraph, rules: Rules, depth: int) -> list[Int32] | None:
    """All legal, connected, convex sets of up to ``depth`` ops, each in topological order; None if too many."""
    neighbours: list[set[int]] = [set() for _ in range(graph.num_ops)]
    for a, b in zip(graph.edge_src.tolist(), graph.edge_dst.tolist(), strict=True):
        neighbours[a].add(b)
        neighbours[b].add(a)
    ancestors = _ancestors(graph)
    inside, after = np.zeros(graph.num_ops, dtype=np.bool_), np.zeros(graph.num_ops, dtype=np.bool_)
    view = rule_view(graph, rules)
    layer = {frozenset([op]) for op in range(graph.num_ops)}
    result: list[Int32] = []
    for size in range(1, depth + 1):
        grown: set[frozenset[int]] = set()
        for ops in layer:
            array = np.array(sorted(ops), dtype=np.int32)
            if _convex(ops, ancestors, graph) and _outputs_allowed(graph, ops, rules):
                result.append(array)
            if size < depth:
                for op in set().union(*(neighbours[member] for member in ops)) - ops:
                    grown.add(ops | {op})
        layer = {ops for ops in grown if not kernel_breach(np.array(sorted(ops), dtype=np.int32), view, inside, after)}
        if len(result) + len(layer) > _MOST_CANDIDATES:
            return None
    return sorted(result, key=lambda ops: ops.tolist())


def _ancestors(graph: OpGraph) -> list[int]:
    """Bit set of all ops that each op depends on."""
    result = [0] * graph.num_ops
    for a, b in zip(graph.edge_src.tolist(), graph.edge_dst.tolist(), strict=True):  # sorted by reader
        result[b] |= result[a] | 1 << a
    return result


def _convex(ops: frozenset[int], ancestors: list[int], graph: OpGraph) -> bool:
    """No path leaves the set and comes back."""
    mask = sum(1 << op for op in ops)
    for op in ops:
        for source in graph.edge_src[graph.edge_start[op] : graph.edge_start[op + 1]].tolist():
            if source not in ops and ancestors[source] & mask:
                return False
    return True


def _outputs_allowed(graph: OpGraph, ops: frozenset[int], rules: Rules) -> bool:
    """Whether the rule set leaves the set whole, given what is used outside of it."""
    alone = np.arange(graph.num_ops, dtype=np.int32)
    alone[sorted(ops)] = min(ops)
    group = np.unique(alone, return_inverse=True)[1].astype(np.int32)
    return len(ops) == 1 or int(split_by_outputs(graph, group, rules).max()) == int(group.max())


def _measure(problem: Problem, candidates: list[Int32]) -> list[float] | None:
    """Milliseconds of each candidate; None, with nothing measured, if the budget does not cover them."""
    graph = problem.graph
    partitions = []
    for ops in candidates:
        partition = np.arange(graph.num_ops, dtype=np.int32)
        partition[ops] = ops[0]
        partitions.append(np.unique(partition, return_inverse=True)[1].astype(np.int32))
    keys = [kernel_keys(graph, p)[p[ops[0]]] for p, ops in zip(partitions, candidates, strict=True)]
    new = set(keys) - set(problem.known)
    if problem.spent + len(new) > problem.budget.kernels:
        return None
    problem.cost(partitions)
    free = [all(graph.free[op] or graph.fixed[op] for op in ops) for ops in candidates]
    return [0.0 if nothing else problem.known[key] for key, nothing in zip(keys, free, strict=True)]


def _shortest_path(graph: OpGraph, candidates: list[Int32], costs: list[float]) -> Int32 | None:
    """Cheapest chain of kernels from nothing done to all done; None if there are too many states."""
    steps: list[list[tuple[int, int, float, int]]] = [[] for _ in range(graph.num_ops)]
    for number, (ops, cost) in enumerate(zip(candidates, costs, strict=True)):
        mask = sum(1 << op for op in ops.tolist())
        needs = 0
        for op in ops.tolist():
            for source in graph.edge_src[graph.edge_start[op] : graph.edge_start[op + 1]].tolist():
                needs |= 1 << source
        if cost < float("inf"):
            steps[int(ops[0])].append((mask, needs & ~mask, cost, number))
    everything = (1 << graph.num_ops) - 1
    layers: list[dict[int, tuple[float, int, int]]] = [{} for _ in range(graph.num_ops + 1)]
    layers[0][0] = (0.0, -1, -1)
    states = 0
    for layer in layers[:-1]:
        states += len(layer)
        if states > _MOST_STATES:
            return None
        for done, (spent, _, _) in layer.items():
            for op in range(graph.num_ops):
                if done >> op & 1:
                    continue
                for mask, needs, cost, number in steps[op]:
                    if needs & ~done or mask & done:
                        continue
                    state = done | mask
                    reached = layers[state.bit_count()]
                    if state not in reached or spent + cost < reached[state][0]:
                        reached[state] = (spent + cost, done, number)
    if everything not in layers[-1]:
        return None
    kernel = np.empty(graph.num_ops, dtype=np.int32)
    state = everything
    while state:
        _, state_before, number = layers[state.bit_count()][state]
        kernel[candidates[number]] = number
        state = state_before
    return execution_order(graph, np.unique(kernel, return_inverse=True)[1].astype(np.int32))
