"""Small fusing problems: random graphs, and an oracle that everybody can work out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.synthetic import synthetic
from tvm_go.graph import OpGraph
from tvm_go.kernels import Kernel
from tvm_go.legalize import legalize
from tvm_go.policy import Policy, PolicyConfig
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem


def simple_oracle(requests: Sequence[tuple[str, Kernel]]) -> list[float]:
    """A launch costs 1 ms, reading or writing a value 0.1 ms, an op 0.05 ms."""
    return [1 + 0.1 * (len(kernel.inputs) + len(kernel.outputs)) + 0.05 * len(kernel.ops) for _, kernel in requests]


def fusing_problem(seed: int, num_ops: int = 30, *, kernels: int = 10**9, rules: str = "open") -> Problem:
    graph = synthetic(num_ops, np.random.default_rng(seed), reach=4)
    default = default_of(graph)
    problem = Problem(graph, default, rule_set(rules), simple_oracle, Budget(kernels=kernels))
    problem.cost_default()
    return problem


def default_of(graph: OpGraph) -> np.typing.NDArray[np.int32]:
    """As FuseOps would: all that may be merged."""
    return legalize(graph, np.ones(graph.num_edges, dtype=np.int64), rule_set("tvm"))


def fusing_policy(seed: int = 0, *, rounds: int = 1) -> Policy:
    return Policy(PolicyConfig(tasks=("fusion",), width=16, graph_layers=2, heads=2, segment=16, rounds=rounds), seed)
