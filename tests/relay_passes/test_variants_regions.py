"""Units of ops and what lies around them: equal keys for equal surroundings, and pieces that compute the same."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relay

from benchmarks.zoo import load
from relay_passes.dataflow import Dataflow, read
from relay_passes.prepare import finish, prepare_base
from relay_passes.targets import as_target
from relay_passes.variants import DEFAULT, Unit, cut_out, options, units
from tests.relay_passes.test_variants import TARGET, as_module, assert_same_numbers, weight

LLVM = as_target(TARGET)


def conv(x: relay.Expr, channels: int = 16, seed: int = 0) -> relay.Expr:
    return relay.nn.conv2d(x, weight(channels, 16, 1, 1, seed=seed), channels=channels, kernel_size=(1, 1))


def chain(length: int) -> tvm.IRModule:
    y = relay.var("x", shape=(1, 16, 8, 8))
    for seed in range(length):
        y = relay.nn.relu(conv(y, seed=seed))
    return as_module(y)


def units_of(mod: tvm.IRModule) -> tuple[Dataflow, list[Unit]]:
    flow = read(prepare_base(mod, target=TARGET))
    return flow, units(flow, LLVM)


def test_ops_alike_in_surroundings_alike_share_a_key() -> None:
    _, found = units_of(chain(5))
    first, second, third, fourth, last = (unit.key for unit in found)
    assert second == third == fourth
    assert len({first, second, last}) == 3


def test_surroundings_end_at_the_next_ops_that_have_variants() -> None:
    flow, found = units_of(chain(5))
    names = [flow.operators[op].name for op in found[2].around]
    assert names == ["nn.conv2d", "nn.relu", "nn.conv2d", "nn.relu", "nn.conv2d"]
    assert found[2].ops == (found[2].around[2],)


def test_surroundings_of_a_wide_concatenation_are_bounded() -> None:
    x = relay.var("x", shape=(1, 16, 8, 8))
    parts = [relay.nn.relu(conv(relay.nn.relu(x), seed=seed)) for seed in range(60)]
    y = relay.nn.conv2d(
        relay.concatenate(parts, 1), weight(16, 960, 1, 1), channels=16, kernel_size=(1, 1)
    )  # fmt: skip
    _, found = units_of(as_module(y))
    assert max(len(unit.around) for unit in found) <= max(32, 60 + 2)


def test_parallel_ops_are_one_unit() -> None:
    x = relay.nn.relu(relay.var("x", shape=(1, 16, 8, 8)))
    _, found = units_of(as_module(relay.Tuple([relay.nn.relu(conv(x, seed=seed)) for seed in range(3)])))
    assert [len(unit.ops) for unit in found] == [3]


@pytest.mark.parametrize("name", ["squeezenet", "lstm"])
def test_pieces_of_real_models_take_the_forms_of_the_whole(name: str) -> None:
    model = load(name)
    base = prepare_base(model.mod, model.params, target=TARGET)
    flow = read(base)
    legal = options(flow, LLVM)
    for unit in units(flow, LLVM)[:12:4]:
        piece, origin = cut_out(flow, unit.around)
        assert sorted(origin) == list(unit.around)
        inside = options(piece, LLVM)
        for op in unit.ops:
            form = legal[op][-1]
            assert form in inside[origin.index(op)]
        names = [legal[op][-1] if op in unit.ops else DEFAULT for op in origin]
        assert_same_numbers(piece, finish(piece, target=LLVM, variants=names))


def test_pieces_keep_weights_and_take_results_as_inputs() -> None:
    flow, found = units_of(chain(3))
    piece, origin = cut_out(flow, found[1].ops)
    main = piece["main"]
    assert origin == list(found[1].ops)
    assert [tuple(int(side) for side in var.checked_type.shape) for var in main.params] == [(1, 16, 8, 8)]
    np.testing.assert_array_equal(
        main.body.args[1].data.numpy(), flow.calls[found[1].ops[0]].args[1].data.numpy()
    )  # fmt: skip
