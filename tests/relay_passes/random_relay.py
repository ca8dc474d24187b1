"""Random Relay functions for hypothesis: small, static, of the operators that models are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tvm
from hypothesis import strategies as st
from tvm import relay

from relay_passes.dataflow import address, post_order

Shape = tuple[int, ...]


class Builder:
    """Grows a function op by op; every value is a float32 tensor of at most four axes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.inputs = [
            relay.var(f"x{i}", shape=shape)
            for i, shape in enumerate(draw(st.lists(st.sampled_from(_INPUT_SHAPES), min_size=1, max_size=3)))
        ]
        self.values: list[tuple[relay.Expr, Shape]] = [
            (var, tuple(int(extent) for extent in var.type_annotation.shape)) for var in self.inputs
        ]

    def pick(self, *ranks: int) -> tuple[relay.Expr, Shape] | None:
        """A value of one of these ranks, late ones more likely; None if there is none."""
        found = [value for value in self.values if len(value[1]) in (ranks or (1, 2, 3, 4))]
        return None if not found else found[-1 - min(self.draw(st.integers(0, 6)), len(found) - 1)]

    def constant(self, *shape: int) -> relay.Constant:
        return relay.const(self.rng.standard_normal(shape).astype("float32"))

    def add(self, expr: relay.Expr, shape: Shape) -> None:
        self.values.append((expr, shape))

    def function(self) -> tvm.IRModule:
        """What is read by nothing becomes an output, and sometimes more."""
        made = self.values[len(self.inputs) :] or self.values
        more = self.draw(st.lists(st.sampled_from(range(len(made))), max_size=2))
        everything = relay.Tuple([expr for expr, _ in made])
        typed = relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(self.inputs, everything)))["main"]
        read = {
            address(child)
            for expr, children in post_order(typed.body)
            for child in children
            if not expr.same_as(typed.body)
        }
        fields = list(typed.body.fields)
        kept = [i for i, field in enumerate(fields) if address(field) not in read or i in more] or [len(fields) - 1]
        body = fields[kept[0]] if len(kept) == 1 else relay.Tuple([fields[i] for i in kept])
        return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(typed.params, body)))


_INPUT_SHAPES: list[Shape] = [(4, 8), (2, 4, 8), (1, 4, 6, 6)]


def unary(b: Builder) -> None:
    if value := b.pick():
        op = b.draw(st.sampled_from([relay.nn.relu, relay.tanh, relay.sigmoid, relay.negative, relay.abs]))
        b.add(op(value[0]), value[1])


def with_constant(b: Builder) -> None:
    if value := b.pick():
        x, shape = value
        op = b.draw(st.sampled_from([relay.add, relay.multiply, relay.maximum]))
        other = b.draw(st.sampled_from([(), shape, shape[-1:], (shape[0], *(1 for _ in shape[1:]))]))
        b.add(op(x, b.constant(*other)), shape)


def residual(b: Builder) -> None:
    """Two values of one shape, or one broadcast against the other."""
    first, second = b.pick(), b.pick()
    if first and second:
        try:
            shape = np.broadcast_shapes(first[1], second[1])
        except ValueError:
            return
        op = b.draw(st.sampled_from([relay.add, relay.subtract, relay.multiply]))
        b.add(op(first[0], second[0]), shape)


def reshape(b: Builder) -> None:
    if value := b.pick():
        x, shape = value
        merged = (shape[0], int(np.prod(shape[1:])))
        split = (*shape[:-1], shape[-1] // 2, 2) if shape[-1] % 2 == 0 and len(shape) < 4 else merged
        new = b.draw(st.sampled_from([merged, split]))
        b.add(relay.reshape(x, new), new)


def transpose(b: Builder) -> None:
    if value := b.pick():
        x, shape = value
        axes = b.draw(st.permutations(range(len(shape))))
        b.add(relay.transpose(x, axes), tuple(shape[axis] for axis in axes))


def reduction(b: Builder) -> None:
    if value := b.pick(2, 3, 4):
        x, shape = value
        axis, keep = b.draw(st.integers(0, len(shape) - 1)), b.draw(st.booleans())
        op = b.draw(st.sampled_from([relay.sum, relay.mean, relay.max]))
        kept = (1,) if keep else ()
        b.add(op(x, axis=axis, keepdims=keep), (*shape[:axis], *kept, *shape[axis + 1 :]))


def softmax(b: Builder) -> None:
    if value := b.pick(2, 3):
        b.add(relay.nn.softmax(value[0]), value[1])


def dense(b: Builder) -> None:
    if value := b.pick(2):
        x, (rows, columns) = value
        b.add(relay.nn.dense(x, b.constant(8, columns)), (rows, 8))


def batch_matmul(b: Builder) -> None:
    if value := b.pick(3):
        x, (batch, rows, columns) = value
        same = [y for y, shape in b.values if shape == (batch, rows, columns)]
        if b.draw(st.booleans()):
            b.add(relay.nn.batch_matmul(x, b.draw(st.sampled_from(same))), (batch, rows, rows))
        else:
            b.add(relay.nn.batch_matmul(x, b.constant(batch, columns, 6), transpose_b=False), (batch, rows, 6))


def conv2d(b: Builder) -> None:
    if value := b.pick(4):
        x, (batch, channels, height, width) = value
        groups = b.draw(st.sampled_from([1, channels]))
        out = channels if groups > 1 else 4
        w = b.constant(out, channels // groups, 3, 3)
        y = relay.nn.conv2d(x, w, padding=(1, 1), groups=groups, channels=out, kernel_size=(3, 3))
        b.add(y, (batch, out, height, width))


def split(b: Builder) -> None:
    if value := b.pick(2, 3, 4):
        x, shape = value
        # not the channels of an image: where a conv2d before it gets a blocked layout, AlterOpLayout itself fails
        axes = [axis for axis, extent in enumerate(shape) if extent % 2 == 0 and (len(shape), axis) != (4, 1)]
        if axes:
            axis = b.draw(st.sampled_from(axes))
            for part in relay.split(x, 2, axis=axis):
                b.add(part, (*shape[:axis], shape[axis] // 2, *shape[axis + 1 :]))


def concatenate(b: Builder) -> None:
    if value := b.pick():
        x, shape = value
        same = [y for y, other in b.values if other == shape]
        axis = b.draw(st.integers(0, len(shape) - 1))
        b.add(
            relay.concatenate([x, b.draw(st.sampled_from(same))], axis=axis),
            (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]),
        )


def layer_norm(b: Builder) -> None:
    if value := b.pick(2, 3):
        x, shape = value
        centred = x - relay.mean(x, axis=-1, keepdims=True)
        variance = relay.mean(centred * centred, axis=-1, keepdims=True)
        normal = centred / relay.sqrt(variance + relay.const(0.1))
        b.add(normal * b.constant(shape[-1]) + b.constant(shape[-1]), shape)


def softmax_by_ops(b: Builder) -> None:
    if value := b.pick(2, 3, 4):
        x, shape = value
        axis = b.draw(st.integers(1, len(shape) - 1))
        shifted = relay.exp(x - relay.max(x, axis=axis, keepdims=True))
        b.add(shifted / relay.sum(shifted, axis=axis, keepdims=True), shape)


def gelu(b: Builder) -> None:
    if value := b.pick():
        x, shape = value
        b.add(x * (relay.const(0.5) + relay.const(0.5) * relay.erf(x * relay.const(0.7071))), shape)


def pointwise_conv2d(b: Builder) -> None:
    if value := b.pick(4):
        x, (batch, channels, height, width) = value
        w = b.constant(8, channels, 1, 1)
        y = relay.nn.conv2d(x, w, channels=8, kernel_size=(1, 1))
        b.add(relay.nn.relu(y + b.constant(8, 1, 1)), (batch, 8, height, width))


def pool(b: Builder) -> None:
    if value := b.pick(4):
        x, (batch, channels, height, width) = value
        op = b.draw(st.sampled_from([relay.nn.max_pool2d, relay.nn.avg_pool2d]))
        b.add(op(x, (3, 3), padding=(1, 1)), (batch, channels, height, width))


STEPS: list[Callable[[Builder], None]] = [
    *(unary, unary, with_constant, with_constant, residual, residual, reshape, transpose),
    *(reduction, softmax, dense, batch_matmul, conv2d, split, concatenate),
]
#: More of what kernels with several reductions are made of.
COMPOUND: list[Callable[[Builder], None]] = [
    *(dense, batch_matmul, layer_norm, softmax_by_ops, gelu, pointwise_conv2d, pool),
]


@st.composite
def modules(draw: st.DrawFn, max_steps: int = 24, *, compound: bool = False) -> tvm.IRModule:
    """Type-inferred modules of one function."""
    builder = Builder(draw)
    steps = [*STEPS, *COMPOUND] if compound else STEPS
    for step in draw(st.lists(st.sampled_from(steps), min_size=6, max_size=max_steps)):
        step(builder)
    return builder.function()
