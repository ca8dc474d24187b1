"""A whole is its kernels, what lies between them, and the weights that come from outside the cache."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relay

from benchmarks.cold_weights import Call, calls_of
from benchmarks.reuse_distance import distances, lost_ms
from benchmarks.whole_from_kernels import Parts, constant_bytes
from relay_passes.targets import as_target
from tvm_go.graph import Int32, OpGraph
from tvm_go.model import Model


def test_what_comes_beside_kernels_is_what_left_the_cache() -> None:
    parts = Parts(ms=5.0, kernels=3, constant_bytes=100, distant_ms=0.1, weights_ms=0.2)
    assert parts.whole_ms == pytest.approx(5.3)


def dense_of(layers: int, width: int) -> list[Call]:
    """The kernels of some dense layers, with weights of their own."""
    body = data = relay.var("x", shape=(1, width))
    for layer in range(layers):
        weight = np.full((width, width), layer / width, np.float32)
        body = relay.nn.relu(relay.nn.dense(body, relay.const(weight)))
    return calls_of(relay.build(tvm.IRModule.from_expr(relay.Function([data], body)), target="llvm"))


def test_kernels_of_a_build_are_told_with_their_weights_and_can_be_run() -> None:
    calls = dense_of(3, 32)
    assert sum(call.runs for call in calls) == 3
    weights = {call.weight_bytes for call in calls if call.weights}
    assert weights == {4 * 32 * 32}
    for call in calls:
        call.function(*call.arguments)


def test_weights_that_are_all_there_are_lose_nothing() -> None:
    (call,) = (one for one in dense_of(1, 64) if one.weights)
    assert call.lost_ms(call.weight_bytes) == 0.0


def test_of_several_weights_the_copies_are_as_large_as_all_together() -> None:
    (call,) = (one for one in dense_of(1, 64) if one.weights)
    ran: list[int] = []
    counting = call._replace(function=lambda *arguments: ran.append(arguments[call.weights[0]].handle.contents.data))
    counting.lost_ms(3.5 * call.weight_bytes)
    assert len(set(ran)) == 5  # four copies, and the weights themselves


def test_of_a_table_count_the_rows_that_are_taken() -> None:
    rows = relay.var("rows", shape=(3,), dtype="int32")
    table, weight = (relay.const(np.ones(shape, np.float32)) for shape in ((1000, 16), (8, 16)))
    body = relay.nn.dense(relay.take(table, rows, axis=0), weight)
    model = Model.prepare(tvm.IRModule.from_expr(relay.Function([rows], body)), None, as_target("llvm"))
    assert constant_bytes(model.graph) == 4 * (3 * 16 + 8 * 16)


PROBE_MS = {"cache 2": 1.0, "cache 3": 32.0, "memory": 1024.0}  # twice the rate at each level


def chain_of(values: int, extra: int) -> tuple[OpGraph, Int32]:
    """A value that is read at once, and again after as many others were made and read as `extra` says."""
    x = relay.var("x", shape=(values,))
    first = middle = relay.exp(x)
    for _ in range(extra):
        middle = relay.tanh(middle)
    mod = tvm.IRModule.from_expr(relay.Function([x], relay.add(first, middle)))
    graph = Model.prepare(mod, None, as_target("llvm")).graph
    return graph, np.arange(graph.num_ops, dtype=np.int32)


def test_the_distance_of_a_value_is_what_was_touched_since() -> None:
    graph, kernel = chain_of(1024, 3)
    num_bytes, alone, apart = distances(graph, kernel)
    assert (num_bytes == 4096).all()
    assert sorted(alone) == [8192] * 4 + [12288] * 2
    # The input was read one run ago, at 44 KiB in all; the first value three kernels ago, the others just now.
    assert sorted(apart) == [8192, 8192, 8192, 12288, 28672, 45056]


@pytest.mark.parametrize(("values", "loses"), [(1024, False), (1 << 20, True)])
def test_only_what_leaves_the_cache_is_lost(values: int, loses: bool) -> None:
    graph, kernel = chain_of(values, 3)
    assert (lost_ms(graph, kernel, PROBE_MS) > 0) == loses
