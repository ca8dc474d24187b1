"""Workloads from kernels: what a placement costs is the sum of its kernels and its copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import synthetic
from tvm_go import Decisions
from tvm_go.copies import copies
from tvm_go.simulate import Device, Machine
from tvm_go.simulate.from_kernels import from_kernels
from tvm_go.simulate.objectives import evaluate

_DEVICES = ("cpu", "opencl")


@given(seed=st.integers(0, 10**9), num_ops=st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_a_placement_costs_its_kernels_and_its_copies(seed: int, num_ops: int) -> None:
    rng = np.random.default_rng(seed)
    graph = synthetic(num_ops, rng)
    kernel = Decisions(rng.integers(0, 3, size=graph.num_edges)).decode(graph, target="llvm").kernel
    count = int(kernel.max()) + 1
    ms = rng.uniform(0.1, 2.0, (count, 2))
    model = from_kernels(graph, kernel, ms, _DEVICES)
    machine = Machine.uniform(
        "pair", tuple(Device(name, name) for name in _DEVICES), bytes_per_ms=1000.0, latency_ms=0.02, overlap=False
    )
    device = rng.integers(0, 2, count).astype(np.int32)
    placement = np.zeros(model.workload.num_ops, dtype=np.int32)
    placement[model.node] = device
    first = model.workload.class_first
    placement = placement[first][model.workload.colocation]  # outputs go with their kernels
    assert np.array_equal(model.device_of(placement), device)
    moved = copies(graph, kernel, device)
    expected = ms[np.arange(count), device].sum() + 0.02 * moved.count + moved.num_bytes.sum() / 1000.0
    assert evaluate(model.workload, machine, "sequential", placement[None])[0] == pytest.approx(expected)


def test_what_cannot_run_on_a_device_and_what_belongs_to_the_host_is_not_placed_elsewhere() -> None:
    graph = synthetic(5, np.random.default_rng(0))
    kernel = np.arange(5, dtype=np.int32)
    ms = np.ones((5, 2))
    ms[2, 1] = np.inf
    model = from_kernels(graph, kernel, ms, _DEVICES)
    machine = Machine.uniform("pair", tuple(Device(name, name) for name in _DEVICES), 1.0, overlap=False)
    everywhere = np.ones(model.workload.num_ops, dtype=np.int32)
    assert evaluate(model.workload, machine, "sequential", everywhere[None])[0] == np.inf
