"""A whole is its kernels, what lies between them, and the weights that come from outside the cache."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relay

from benchmarks.whole_from_kernels import Between, Parts, constant_bytes
from relay_passes.targets import as_target
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
