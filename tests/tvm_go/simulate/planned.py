"""Small random graphs on small random machines, and random decisions for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.synthetic import synthetic
from tvm_go.legalize import legalize
from tvm_go.rules import rule_set
from tvm_go.simulate.mixed_machines import draw_machine
from tvm_go.simulate.plans import PlannedGraph, WholePlan


def planned_graph(seed: int, num_ops: int = 30, num_devices: int = 3) -> PlannedGraph:
    """Tensors of a megabyte: launches, traffic and copies all matter."""
    rng = np.random.default_rng(seed)
    small = synthetic(num_ops, rng, reach=4)
    graph = replace(small, value_bytes=small.value_bytes * 2000, flops=small.flops * 1e5)
    default = legalize(graph, np.ones(graph.num_edges, dtype=np.int64), rule_set("tvm"))
    machine, specs = draw_machine(num_devices, rng)
    return PlannedGraph(f"graph {seed}", graph, default, machine, specs, rule_set("wide"))


def random_plan(planned: PlannedGraph, rng: np.random.Generator, levels: int = 4) -> WholePlan:
    """The legal plan of random decisions."""
    return planned.legal(
        rng.integers(0, planned.machine.num_devices, planned.num_ops),
        rng.integers(0, 3, planned.graph.num_edges),
        rng.integers(0, levels, planned.num_ops),
    )
