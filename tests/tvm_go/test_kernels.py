"""Kernel keys and interfaces on synthetic graphs."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import synthetic
from tests.partitions import partitioned
from tvm_go.kernels import describe, kernel_keys, members, returned_values
from tvm_go.legalize import legalize
from tvm_go.result import kernel_changes
from tvm_go.rules import rule_set


@given(st.integers(0, 10**6), st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_interfaces_fit_together(seed: int, num_ops: int) -> None:
    """Each value that a kernel reads is an input, a constant, or returned by the kernel that makes it."""
    graph, kernel = partitioned(seed, num_ops)
    starts, ops = members(kernel)
    returned = returned_values(graph, kernel)
    interfaces = [describe(graph, ops[a:b], returned) for a, b in itertools.pairwise(starts)]
    outputs = {value for interface in interfaces for value in interface.outputs}
    inputs = {value for interface in interfaces for value in interface.inputs}
    assert {value for value in inputs if graph.value_op[value] >= 0} | set(graph.output_values.tolist()) == outputs
    assert sum(len(interface.ops) for interface in interfaces) == num_ops
    assert all(interface.outputs for interface in interfaces)


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_keys_do_not_depend_on_the_surroundings(seed: int) -> None:
    """A kernel keeps its key while the rest of the partition changes around it."""
    graph = synthetic(40, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    kernel = legalize(graph, rng.integers(0, 2, size=graph.num_edges), rule_set("wide"))
    other = legalize(graph, rng.integers(0, 2, size=graph.num_edges), rule_set("wide"))
    by_ops: dict[tuple[int, ...], str] = {}
    for partition in (kernel, other):
        starts, ops = members(partition)
        keys = kernel_keys(graph, partition)
        for number, key in enumerate(keys):
            inside = tuple(ops[starts[number] : starts[number + 1]].tolist())
            assert by_ops.setdefault(inside, key) == key
    assert all(len(key) == 32 for key in by_ops.values())


def test_changes_against_the_default_are_named() -> None:
    graph = synthetic(6, np.random.default_rng(0))
    default = np.array([0, 0, 1, 1, 2, 3], dtype=np.int32)
    plan = np.array([0, 1, 2, 2, 2, 3], dtype=np.int32)
    assert kernel_changes(graph, plan, default) == ["split", "split", "merged", ""]
    crossing = np.array([0, 1, 1, 2, 3, 4], dtype=np.int32)
    assert kernel_changes(graph, crossing, default) == ["split", "regrouped", "split", "", ""]
