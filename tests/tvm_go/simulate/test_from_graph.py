"""Workloads from OpGraphs."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.synthetic import synthetic
from tvm_go.simulate.from_graph import from_graph
from tvm_go.simulate.machines import P100, XEON
from tvm_go.simulate.roofline import roofline_ms


def test_ops_and_edges_are_those_of_the_graph() -> None:
    graph = synthetic(300, np.random.default_rng(0))
    workload = from_graph(graph, [XEON, P100])
    assert workload.kinds == ("xeon", "p100")
    assert workload.num_ops == 300
    pairs = set(zip(graph.edge_src.tolist(), graph.edge_dst.tolist(), strict=True))
    assert set(zip(workload.edge_src.tolist(), workload.edge_dst.tolist(), strict=True)) == pairs
    assert workload.op_ids[7] == f"{graph.name(7)}_7"
    assert (workload.output_bytes == 512).all() and not workload.resident_bytes.any()


def test_times_are_the_roofline_of_what_an_op_reads_and_writes() -> None:
    graph = synthetic(50, np.random.default_rng(1))
    uses = np.diff(graph.use_start)
    expected = roofline_ms(graph.flops, 512.0 * (uses + 1), [XEON])
    assert from_graph(graph, [XEON]).op_ms == pytest.approx(expected)


def test_an_op_keeps_the_constants_that_it_reads_and_views_cost_nothing() -> None:
    graph = synthetic(20, np.random.default_rng(2))
    kind = graph.value_kind.copy()
    kind[0] = 2  # the input becomes a constant
    free = graph.free.copy()
    free[3] = True
    changed = replace(graph, value_kind=kind, free=free)
    workload = from_graph(changed, [P100])
    readers = np.bincount(graph.use_op[graph.use_value == 0], minlength=20)
    assert (workload.resident_bytes == 512 * readers).all() and readers.any()
    assert workload.op_ms[3, 0] == 0 and (np.delete(workload.op_ms, 3) > 0).all()
