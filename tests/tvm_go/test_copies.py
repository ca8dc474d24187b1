"""What a plan on several devices copies."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relay

from relay_passes import extract
from tests.partitions import partitioned
from tests.relay_passes.test_extract import typed
from tvm_go.copies import HOST, copies, reading_devices
from tvm_go.graph import Int32, OpGraph, ValueKind


def by_loop(graph: OpGraph, kernel: Int32, device: Int32) -> list[tuple[int, int, int, int]]:
    """The same, use by use."""
    found = set()
    for value, op in [
        *zip(graph.use_value, graph.use_op, strict=True),
        *((value, -1) for value in graph.output_values),
    ]:
        producer = graph.value_op[value]
        home = device[kernel[producer]] if producer >= 0 else HOST
        reader = device[kernel[op]] if op >= 0 else HOST
        if home != reader and graph.value_kind[value] != ValueKind.CONSTANT:
            found.add((int(value), int(home), int(reader), int(graph.value_bytes[value])))
    return sorted(found)


@given(seed=st.integers(0, 2**32 - 1), num_ops=st.integers(1, 60), num_devices=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_each_value_is_copied_once_to_each_other_device_that_needs_it(
    seed: int, num_ops: int, num_devices: int
) -> None:
    graph, kernel = partitioned(seed, num_ops)
    device = np.random.default_rng(seed).integers(0, num_devices, size=kernel.max() + 1).astype(np.int32)
    found = copies(graph, kernel, device)
    rows = zip(found.value, found.source, found.destination, found.num_bytes, strict=True)
    assert [tuple(map(int, row)) for row in rows] == by_loop(graph, kernel, device)
    if num_devices == 1:
        assert found.count == 0


def test_weights_and_scalars_are_not_copied() -> None:
    x, weight = relay.var("x", shape=(2, 4)), relay.const(np.ones((2, 4), dtype="float32"))
    graph = extract(typed(relay.nn.relu(x + weight) * weight * relay.const(2.0)))
    kernel = np.arange(graph.num_ops, dtype=np.int32)
    device = np.array([1, 0, 1, 1], dtype=np.int32)
    found = copies(graph, kernel, device)
    assert found.num_bytes.tolist() == [32, 32, 32, 32]
    assert list(zip(found.source.tolist(), found.destination.tolist(), strict=True)) == [(0, 1), (1, 0), (0, 1), (1, 0)]
    values, devices = reading_devices(graph, kernel, device)
    constants = graph.value_kind[values] == ValueKind.CONSTANT
    assert devices[constants].tolist() == [1]


def test_an_input_that_is_returned_stays_on_the_host() -> None:
    x = relay.var("x", shape=(2, 4))
    graph = extract(typed(relay.Tuple([x, relay.tanh(x), x])))
    found = copies(graph, np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.int32))
    assert list(zip(found.value.tolist(), found.destination.tolist(), strict=True)) == [(0, 1), (1, 0)]
