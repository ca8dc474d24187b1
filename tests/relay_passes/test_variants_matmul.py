"""Variants of matrix products: where each applies, what it becomes, and the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relay

from relay_passes.dataflow import read
from relay_passes.prepare import finish, prepare_base
from relay_passes.variants import DEFAULT, options, origins, suggested
from relay_passes.variants.matmul import BATCH_MATMUL, DENSE
from tests.relay_passes.test_variants import (
    TARGET,
    as_module,
    assert_constants_are_folded,
    assert_same_numbers,
    finish_as,
    operators,
    weight,
)


def linear(right: relay.Expr, *, transpose_b: bool = False, batch: int = 1, rows: int = 6) -> tvm.IRModule:
    """A product with a weight, between ops that it may be fused with."""
    x = relay.var("x", shape=(batch, rows, 24))
    y = relay.nn.batch_matmul(relay.tanh(x), right, transpose_b=transpose_b)
    return as_module(relay.nn.relu(y))


def dense(columns: int = 32, rows: int = 6) -> tvm.IRModule:
    y = relay.nn.dense(relay.tanh(relay.var("x", shape=(rows, 24))), weight(columns, 24))
    return as_module(relay.nn.relu(y))


def options_of(mod: tvm.IRModule, name: str, target: str = TARGET) -> tuple[str, ...]:
    base = prepare_base(mod, target=target)
    return options(base, target)[operators(base).index(name)]


def parallel(operator: str, count: int = 3) -> tvm.IRModule:
    """Products of one value with several weights, as attention has them."""
    x = relay.tanh(relay.var("x", shape=(1, 35, 24)))
    if operator == "nn.dense":
        x = relay.reshape(x, (35, 24))
        parts = [relay.nn.dense(x, weight(16 + i, 24, seed=i)) for i in range(count)]
    else:
        parts = [relay.nn.batch_matmul(x, weight(1, 24, 16 + i, seed=i), transpose_b=False) for i in range(count)]
    return as_module(relay.Tuple([relay.nn.relu(part) for part in parts]))


@pytest.mark.parametrize("name", [variant.name for variant in BATCH_MATMUL if variant.join is None])
def test_products_with_a_weight_keep_their_numbers(name: str) -> None:
    columns = 30 if "padded" in name else 32
    shape = (1, columns, 24) if name == "NN" else (1, 24, columns)
    mod = linear(weight(*shape), transpose_b=name == "NN")
    finished = finish_as(mod, name)
    assert_constants_are_folded(finished)
    assert "transpose" not in operators(finished)
    assert_same_numbers(mod, finished)


@pytest.mark.parametrize("name", [variant.name for variant in DENSE if not variant.join and not variant.inputs])
def test_dense_keeps_its_numbers(name: str) -> None:
    mod = dense(30 if name == "padded" else 32)
    finished = finish_as(mod, name)
    assert_constants_are_folded(finished)
    assert_same_numbers(mod, finished)


@pytest.mark.parametrize("rows", [1, 6, 35])
@pytest.mark.parametrize("columns", [2, 35])
def test_padding_leaves_no_trace(rows: int, columns: int) -> None:
    mod = linear(weight(1, 24, columns), rows=rows)
    assert_same_numbers(mod, finish_as(mod, "dense/padded"))
    assert options_of(linear(weight(1, 24, 32), rows=40), "nn.batch_matmul").count("dense/padded") == 0


@pytest.mark.parametrize("transpose_b", [False, True])
def test_products_of_two_results_may_turn_the_right_one(transpose_b: bool) -> None:
    y = relay.var("y", shape=(3, 16, 24) if transpose_b else (3, 24, 16))
    mod = linear(relay.tanh(y), transpose_b=transpose_b, batch=3)
    name = "NN" if transpose_b else "NT"
    assert options_of(mod, "nn.batch_matmul") == (DEFAULT, name)
    finished = finish_as(mod, name)
    assert operators(finished).count("transpose") == 1
    assert_same_numbers(mod, finished)


def test_left_sides_that_are_transposed_stay_so() -> None:
    x, y = relay.var("x", shape=(2, 8, 6)), relay.var("y", shape=(2, 8, 10))
    mod = as_module(relay.nn.batch_matmul(x, y, transpose_a=True, transpose_b=False))
    assert options_of(mod, "nn.batch_matmul") == (DEFAULT, "NT")
    assert_same_numbers(mod, finish_as(mod, "NT"))


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param(lambda w: relay.broadcast_to(w, (3, 24, 16)), id="broadcast_to"),
        pytest.param(lambda w: relay.reshape(w, (1, 24, 16)), id="reshape"),
        pytest.param(lambda w: relay.expand_dims(relay.squeeze(w, [0]), 0), id="squeeze and expand_dims"),
        pytest.param(
            lambda w: relay.broadcast_to(relay.transpose(relay.reshape(w, (1, 16, 24)), (0, 2, 1)), (3, 24, 16)),
            id="transpose and broadcast_to",
        ),
    ],
)
def test_weights_are_seen_behind_what_front_ends_write(chain) -> None:  # type: ignore[no-untyped-def]
    mod = linear(chain(weight(1, 24, 16)), batch=3)
    finished = finish_as(mod, "dense")
    assert operators(finished).count("nn.contrib_dense_pack") == 1
    assert_constants_are_folded(finished)
    assert_same_numbers(mod, finished)


def test_dense_takes_one_matrix_for_the_whole_batch() -> None:
    assert "dense" not in options_of(linear(weight(3, 24, 16), batch=3), "nn.batch_matmul")


def test_other_types_keep_their_own_forms() -> None:
    x = relay.var("x", shape=(1, 6, 24), dtype="int8")
    w = relay.const(np.ones((1, 16, 24), "int8"))
    assert options_of(as_module(relay.nn.batch_matmul(x, w, out_dtype="int32")), "nn.batch_matmul") == (DEFAULT,)
    matrix = relay.nn.dense(relay.reshape(x, (6, 24)), relay.reshape(w, (16, 24)), out_dtype="int32")
    assert options_of(as_module(matrix), "nn.dense") == (DEFAULT,)


def test_blocks_divide_the_columns_of_a_constant() -> None:
    assert [name for name in options_of(dense(24), "nn.dense") if "packed" in name] == ["packed/8"]
    x, w = relay.var("x", shape=(6, 24)), relay.var("w", shape=(32, 24))
    assert options_of(as_module(relay.nn.dense(x, w)), "nn.dense") == (DEFAULT, "plain")


@pytest.mark.parametrize("block", [8, 16, 32])
def test_blocks_are_what_the_name_says(block: int) -> None:
    base = finish_as(dense(32), f"packed/{block}")
    flow = read(base)
    (packed,) = (call for call in flow.calls if call.op.name == "nn.contrib_dense_pack")
    assert packed.attrs.weight_layout == f"NC{block}n"


@pytest.mark.parametrize(
    ("columns", "rows", "expected"),
    [(64, 32, "dense"), (16, 32, "dense"), (1000, 32, "dense/padded"), (64, 33, "dense/padded"), (64, 1, "dense")],
)
def test_rule_for_products_with_a_weight(columns: int, rows: int, expected: str) -> None:
    base = prepare_base(linear(weight(1, 24, columns), rows=rows), target="llvm -mcpu=skylake-avx512")
    assert set(suggested(base, "llvm -mcpu=skylake-avx512")) == {DEFAULT, expected}


def test_rule_leaves_two_results_alone() -> None:
    base = prepare_base(linear(relay.var("y", shape=(3, 24, 16)), batch=3), target=TARGET)
    assert set(suggested(base, TARGET)) == {DEFAULT}


def test_variants_of_one_module_mix() -> None:
    x = relay.var("x", shape=(1, 6, 24))
    parts = [relay.nn.batch_matmul(x, weight(1, 24, 16, seed=seed), transpose_b=False) for seed in range(4)]
    mod = as_module(relay.concatenate(parts, 2))
    base = prepare_base(mod, target=TARGET)
    names = iter(["NT", "dense/packed/8", DEFAULT, "dense/plain"])
    wanted = [next(names) if name == "nn.batch_matmul" else DEFAULT for name in operators(base)]
    finished = finish(base, target=TARGET, variants=wanted)
    found = [name for name in operators(finished) if "dense" in name or "matmul" in name]
    assert sorted(found) == ["nn.batch_matmul", "nn.batch_matmul", "nn.contrib_dense_pack", "nn.dense"]
    assert_same_numbers(mod, finished)


@pytest.mark.parametrize("operator", ["nn.dense", "nn.batch_matmul"])
def test_parallel_products_become_one(operator: str) -> None:
    mod = parallel(operator)
    finished = finish_as(mod, "combined")
    assert operators(finished).count("nn.contrib_dense_pack") == 1
    assert operators(finished).count("strided_slice") == 3
    assert_constants_are_folded(finished)
    assert_same_numbers(mod, finished)


def test_only_those_that_choose_it_are_combined() -> None:
    mod = parallel("nn.dense", 4)
    base = prepare_base(mod, target=TARGET)
    wanted = iter(["combined", "plain", "combined", DEFAULT])
    names = [next(wanted) if name == "nn.dense" else DEFAULT for name in operators(base)]
    finished = finish(base, target=TARGET, variants=names)
    assert operators(finished).count("nn.contrib_dense_pack") == 2
    assert operators(finished).count("nn.dense") == 1
    assert_same_numbers(mod, finished)
    found = origins(finished).tolist()
    ops = [op for op, name in enumerate(names) if name == "combined"]
    slices = [op for op, name in enumerate(operators(finished)) if name == "strided_slice"]
    assert [found[op] for op in slices] == ops
    assert found[operators(finished).index("nn.contrib_dense_pack")] == ops[0]


def test_one_alone_may_choose_to_be_combined() -> None:
    mod = parallel("nn.batch_matmul")
    base = prepare_base(mod, target=TARGET)
    first = operators(base).index("nn.batch_matmul")
    names = ["combined" if op == first else DEFAULT for op in range(len(operators(base)))]
    assert_same_numbers(mod, finish(base, target=TARGET, variants=names))


def test_products_of_different_values_are_not_combined() -> None:
    x, y = relay.var("x", shape=(4, 24)), relay.var("y", shape=(4, 24))
    mod = as_module(relay.Tuple([relay.nn.dense(x, weight(16, 24)), relay.nn.dense(y, weight(16, 24, seed=1))]))
    assert "combined" not in options_of(mod, "nn.dense")
