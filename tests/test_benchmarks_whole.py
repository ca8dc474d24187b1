"""A whole is its kernels, what lies between them, and the weights that come from outside the cache."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relay

from benchmarks.reuse_distance import distances, lost_ms
from benchmarks.whole_from_kernels import Between, Parts, constant_bytes
from relay_passes.targets import as_target
from tvm_go.graph import Int32, OpGraph
from tvm_go.model import Model


def test_what_comes_beside_kernels_follows_from_their_number_and_their_weights() -> None:
    beside = Between(launch_ms=0.01, constant_bytes=[100.0, 200.0], constant_ms=[0.0, 1.0])
    assert beside.whole_ms(Parts(5.0, 3, 0)) == pytest.approx(5.03)
    assert beside.whole_ms(Parts(5.0, 3, 100)) == pytest.approx(5.03)
    assert beside.whole_ms(Parts(5.0, 3, 200)) == pytest.approx(6.03)
    assert beside.whole_ms(Parts(5.0, 3, 400)) == pytest.approx(7.03)  # the rate of the most that was measured
    assert 5.03 < beside.whole_ms(Parts(5.0, 3, 150)) < 6.03


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
