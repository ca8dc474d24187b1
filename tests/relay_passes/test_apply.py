"""What `apply` writes, as Relay text, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relay

from relay_passes import extract, prepare
from relay_passes.apply import apply
from tests.relay_passes.test_extract import typed
from tvm_go import Decisions
from tvm_go.errors import PlanError


def attention() -> relay.Expr:
    """Scores, softmax, context, with a residual."""
    x = relay.var("x", shape=(2, 4, 8))
    scores = relay.nn.batch_matmul(x, x) * relay.const(0.5)
    return relay.nn.batch_matmul(relay.nn.softmax(scores), x, transpose_b=False) + x


def branches() -> relay.Expr:
    """Split, a branch for each part, both returned and concatenated."""
    parts = relay.split(relay.var("x", shape=(4, 6)), 2, axis=1)
    left, right = relay.tanh(parts[0]), relay.nn.relu(parts[1])
    return relay.Tuple([left, relay.concatenate([left, right], axis=1)])


def convolution() -> relay.Expr:
    """A convolution with bias, activation, pooling, flattened into a classifier."""
    x, w = relay.var("x", shape=(1, 3, 8, 8)), relay.var("w", shape=(4, 3, 3, 3))
    y = relay.nn.conv2d(x, w, padding=(1, 1), channels=4, kernel_size=(3, 3))
    y = relay.nn.relu(relay.nn.bias_add(y, relay.var("b", shape=(4,))))
    y = relay.nn.batch_flatten(relay.nn.max_pool2d(y, (2, 2), (2, 2)))
    return relay.nn.softmax(relay.nn.dense(y, relay.var("v", shape=(5, 64))))


def planned(mod: tvm.IRModule, merged: int) -> tvm.IRModule:
    """Every edge merged where the rules allow it, or none."""
    graph = extract(mod)
    decisions = Decisions(np.full(graph.num_edges, merged))
    return apply(mod, decisions.decode(graph, target="llvm", rules="wide"))


@pytest.mark.parametrize("model", [attention, branches, convolution])
@pytest.mark.parametrize("merged", [0, 1], ids=["unfused", "merged"])
def test_text(model: Callable[[], relay.Expr], merged: int, golden: Callable[[str], None]) -> None:
    golden(planned(typed(model()), merged)["main"].astext(show_meta_data=False) + "\n")


def test_the_given_module_stays_as_it_is() -> None:
    mod = prepare(typed(attention()), target="llvm")
    before = tvm.ir.load_json(tvm.ir.save_json(mod))
    assert not tvm.ir.structural_equal(planned(mod, 1), before)
    assert tvm.ir.structural_equal(mod, before)


def test_a_plan_for_another_module_is_refused() -> None:
    one, other = typed(attention()), typed(branches())
    graph = extract(one)
    plan = Decisions(np.zeros(graph.num_edges, dtype=np.int32)).decode(graph, target="llvm")
    with pytest.raises(PlanError, match="the plan is for model graph"):
        apply(other, plan)
