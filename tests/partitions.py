"""Random graphs with random partitions, and their kernels apart."""

from __future__ import annotations

import itertools

import numpy as np

from benchmarks.synthetic import synthetic
from cost_model.structure import Structure, structure
from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import describe, members, returned_values
from tvm_go.legalize import legalize
from tvm_go.rules import rule_set


def partitioned(seed: int, num_ops: int) -> tuple[OpGraph, Int32]:
    """A graph, and a legal partition of it."""
    graph = synthetic(num_ops, np.random.default_rng(seed))
    priority = np.random.default_rng(seed).integers(0, 3, size=graph.num_edges)
    return graph, legalize(graph, priority, rule_set("wide"))


def taken_apart(graph: OpGraph, kernel: Int32) -> list[Structure]:
    """The structure of each kernel."""
    starts, ops = members(kernel)
    returned = returned_values(graph, kernel)
    return [structure(graph, describe(graph, ops[a:b], returned)) for a, b in itertools.pairwise(starts)]
