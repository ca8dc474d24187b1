"""Random graphs of convolutions and products with random variants: always the numbers of the model as it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import relay

from relay_passes.dataflow import read
from relay_passes.prepare import finish, prepare_base
from relay_passes.variants import options, origins
from tests.relay_passes.test_variants import (
    TARGET,
    as_module,
    assert_constants_are_folded,
    assert_same_numbers,
    weight,
)

slow_to_draw = [HealthCheck.too_slow, HealthCheck.data_too_large]
Draw = st.DrawFn


def convolution(draw: Draw, x: relay.Expr, seed: int) -> relay.Expr:
    _, inputs, height, width = (int(extent) for extent in x.checked_type.shape)
    window = draw(st.sampled_from([1, 3]))
    groups = draw(st.sampled_from([1, 1, 2, inputs]))
    out = inputs if groups == inputs else draw(st.sampled_from([8, 12, 32]))
    return relay.nn.conv2d(
        x,
        weight(out, inputs // groups, window, window, seed=seed),
        padding=(window // 2, window // 2),
        strides=draw(st.sampled_from([(1, 1), (1, 1), (2, 2)])) if min(height, width) > 3 else (1, 1),
        channels=out,
        kernel_size=(window, window),
        groups=groups,
    )


def between_images(draw: Draw, x: relay.Expr, seed: int) -> relay.Expr:
    channels = int(x.checked_type.shape[1])
    return draw(
        st.sampled_from(
            [
                relay.nn.relu(x),
                relay.nn.bias_add(x, weight(channels, seed=seed)),
                relay.nn.max_pool2d(x, (3, 3), padding=(1, 1)),
                relay.concatenate([x, relay.tanh(x)], 1),
                relay.add(x, relay.sigmoid(x)),
            ]
        )
    )


def product(draw: Draw, x: relay.Expr, seed: int) -> relay.Expr:
    shape = [int(extent) for extent in x.checked_type.shape]
    columns = draw(st.sampled_from([7, 16, 32]))
    if len(shape) == 2:
        return relay.nn.dense(x, weight(columns, shape[1], seed=seed))
    batch, _, inner = shape
    turned = draw(st.booleans())
    matrix = (columns, inner) if turned else (inner, columns)
    kind = draw(st.sampled_from(["one", "broadcast", "own", "result"]))
    if kind == "result":
        other = relay.tanh(x if turned else relay.transpose(x, (0, 2, 1)))
        return relay.nn.batch_matmul(x, other, transpose_b=turned)
    right = weight(batch if kind == "own" else 1, *matrix, seed=seed)
    if kind == "broadcast":
        right = relay.broadcast_to(right, (batch, *matrix))
    return relay.nn.batch_matmul(x, right, transpose_b=turned)


def between_matrices(draw: Draw, x: relay.Expr, seed: int) -> relay.Expr:
    columns = int(x.checked_type.shape[-1])
    return draw(st.sampled_from([relay.nn.relu(x), relay.add(x, weight(columns, seed=seed)), relay.nn.softmax(x)]))


Step = Callable[[Draw, relay.Expr, int], relay.Expr]


@st.composite
def modules(draw: Draw) -> tvm.IRModule:
    """Some steps from one input; each reads one of the last values, and all that nothing reads is returned."""
    shape, steps = draw(
        st.sampled_from(
            [
                ((1, 8, 7, 7), (convolution, convolution, between_images)),
                ((2, 5, 16), (product, product, between_matrices)),
                ((18, 12), (product, product, between_matrices)),
            ]
        )
    )
    values = [as_module(relay.tanh(relay.var("x", shape=shape)))["main"].body]
    for seed in range(draw(st.integers(2, 6))):
        step: Step = draw(st.sampled_from(steps))
        new = step(draw, draw(st.sampled_from(values[-3:])), seed)
        typed = as_module(relay.Tuple([*values, new]))["main"]
        values = list(typed.body.fields)
    used = {part.handle.value for value in values if isinstance(value, relay.Call) for part in value.args}
    return as_module(relay.Tuple([value for value in values if value.handle.value not in used]))


def check(mod: tvm.IRModule, seed: int) -> None:
    base = prepare_base(mod, target=TARGET)
    rng = np.random.default_rng(seed)
    names = [str(rng.choice(applying)) for applying in options(base, TARGET)]
    finished = finish(base, target=TARGET, variants=names)
    assert_constants_are_folded(finished)
    assert origins(finished).max() < len(read(base).calls)
    assert_same_numbers(mod, finished)


@given(mod=modules(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None, suppress_health_check=slow_to_draw, derandomize=True)
def test_random_variants_keep_the_numbers(mod: tvm.IRModule, seed: int) -> None:
    check(mod, seed)


@pytest.mark.campaign
@given(mod=modules(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None, suppress_health_check=slow_to_draw)
def test_many_random_variants_keep_the_numbers(mod: tvm.IRModule, seed: int) -> None:
    check(mod, seed)
