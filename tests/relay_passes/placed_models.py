"""Small models that are hard to place: every way in which values go from kernel to kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relay

from relay_passes.prepare import prepare_base
from relay_passes.target_set import TargetSet
from relay_passes.variants import plain
from tests.relay_passes.test_extract import typed
from tvm_go.graph import Int32
from tvm_go.model import Model

TARGETS = TargetSet.parse("cpu=llvm -mcpu=core-avx2, opencl=opencl")


def weight(*shape: int) -> relay.Constant:
    rng = np.random.default_rng(list(shape))
    return relay.const((rng.standard_normal(shape) / np.sqrt(shape[-1])).astype("float32"))


def chain() -> relay.Expr:
    """Kernels in a row; the last only changes the view."""
    return relay.reshape(relay.nn.relu(relay.exp(relay.tanh(relay.var("x", shape=(4, 6))))), (2, 12))


def residual() -> relay.Expr:
    x = relay.nn.conv2d(relay.var("x", shape=(1, 4, 6, 6)), weight(8, 4, 3, 3), padding=1, channels=8, kernel_size=3)
    y = relay.nn.conv2d(relay.nn.relu(x), weight(8, 8, 3, 3), padding=(1, 1), channels=8, kernel_size=(3, 3))
    return relay.nn.relu(x + y) + x


def joined() -> relay.Expr:
    """Concatenation of an input, of what several kernels make, and of one value twice; and of its parts again."""
    x, y = relay.var("x", shape=(2, 4)), relay.var("y", shape=(2, 4))
    a, b = relay.tanh(x), relay.sigmoid(y)
    whole = relay.concatenate([a, x, b, a], axis=1)
    return relay.concatenate([whole, relay.nn.softmax(whole), y], axis=1)


def parted() -> relay.Expr:
    """Parts of a split that go different ways; one is returned as it is, one is not used."""
    parts = relay.split(relay.tanh(relay.var("x", shape=(3, 8))), 4, axis=1)
    return relay.Tuple([parts[0], relay.exp(parts[1]) * parts[2], relay.concatenate([parts[2], parts[1]], axis=1)])


def shared_weight() -> relay.Expr:
    """One weight for layers on either side, as in an unrolled network; it is returned as well."""
    shared, x = weight(8, 8), relay.var("x", shape=(8, 8))
    for _ in range(3):
        x = relay.nn.dense(relay.tanh(x), shared) + shared
    return relay.Tuple([x, shared])


def outputs() -> relay.Expr:
    """An output that an input is, one twice, one that others read, and a view of another."""
    x = relay.var("x", shape=(4, 4))
    y = relay.exp(relay.tanh(x))
    return relay.Tuple([x, y, relay.reshape(y, (16,)), relay.nn.softmax(y), y, relay.reshape(x, (2, 8))])


def equal_ops() -> relay.Expr:
    """Equal kernels on equal arguments: two of them stay two."""
    x = relay.var("x", shape=(3, 5))
    once, again = relay.exp(relay.nn.relu(x)), relay.exp(relay.nn.relu(x) + relay.const(1.0))
    return relay.exp(once) + relay.exp(again) * relay.exp(once + relay.const(1.0))


def views() -> relay.Expr:
    """Views of views, of inputs, and in front of everything."""
    x = relay.reshape(relay.var("x", shape=(2, 3, 4)), (6, 4))
    y = relay.reshape(relay.expand_dims(relay.tanh(x), 0), (4, 6))
    return relay.reshape(relay.transpose(y), (24,)) + relay.reshape(relay.reshape(x, (2, 12)), (24,))


def attention() -> relay.Expr:
    x = relay.var("x", shape=(2, 4, 8))
    query, key = (relay.nn.batch_matmul(x, weight(2, 8, 8), transpose_b=False) + weight(8) for _ in range(2))
    scores = relay.nn.softmax(relay.nn.batch_matmul(query, key) * relay.const(0.3))
    mixed = relay.nn.batch_matmul(scores, x, transpose_b=False) + x
    centred = mixed - relay.mean(mixed, axis=-1, keepdims=True)
    return centred / relay.sqrt(relay.mean(centred * centred, axis=-1, keepdims=True) + relay.const(0.1))


def lstm() -> relay.Expr:
    """Two steps with shared weights; the states are outputs."""
    hidden = cell = relay.var("h", shape=(1, 8))
    for step in range(2):
        x = relay.var(f"x{step}", shape=(1, 4))
        gates = relay.split(relay.nn.dense(x, weight(32, 4)) + relay.nn.dense(hidden, weight(32, 8)), 4, axis=1)
        cell = relay.sigmoid(gates[0]) * cell + relay.sigmoid(gates[1]) * relay.tanh(gates[2])
        hidden = relay.sigmoid(gates[3]) * relay.tanh(cell)
    return relay.Tuple([hidden, cell])


def integers() -> relay.Expr:
    """Indices and masks: other types than floats are copied as well."""
    x = relay.var("x", shape=(4, 6))
    best = relay.argmax(x, axis=1)
    rows = relay.take(weight(6, 3), best, axis=0)
    return relay.Tuple(
        [relay.where(rows > relay.const(0.0), rows, relay.negative(rows)), best + relay.const(1, "int32")]
    )


MODELS: tuple[Callable[[], relay.Expr], ...] = (
    *(chain, residual, joined, parted, shared_weight, outputs, equal_ops, views, attention, lstm, integers),
)


@dataclass(frozen=True)
class Placing:
    """A model in forms that OpenCL takes, and a partition of it."""

    model: Model
    kernel: Int32

    @property
    def num_kernels(self) -> int:
        return int(self.kernel.max()) + 1

    def inputs(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        return {
            var.name_hint: rng.standard_normal([int(d) for d in var.checked_type.shape]).astype("float32")
            for var in self.model.mod["main"].params
        }


def in_placeable_forms(mod: tvm.IRModule) -> Model:
    base = prepare_base(mod, target=TARGETS.host)
    return Model.with_variants(base, plain(base, TARGETS.host), TARGETS.host)


@functools.cache
def placing(model: Callable[[], relay.Expr], *, fused: bool) -> Placing:
    """One of `MODELS`, each op alone or in TVM's partition."""
    prepared = in_placeable_forms(typed(model()))
    alone = np.arange(prepared.graph.num_ops, dtype=np.int32)
    return Placing(prepared, prepared.default if fused else alone)
