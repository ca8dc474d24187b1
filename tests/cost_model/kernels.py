"""Kernels for the tests, made with Relay directly."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import tvm
from tvm import relay

from cost_model.kernel_task import KernelTask


def parameter(name: str, *shape: int, dtype: str = "float32") -> relay.Var:
    return relay.var(name, shape=shape, dtype=dtype)


def primitive(parameters: Sequence[relay.Var], body: relay.Expr) -> relay.Function:
    module = relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(list(parameters), body)))
    return module["main"].with_attr("Primitive", tvm.tir.IntImm("int32", 1))


def task(parameters: Sequence[relay.Var], body: relay.Expr, *, num_ops: int = 2) -> KernelTask:
    text = tvm.ir.save_json(primitive(parameters, body))
    return KernelTask(hashlib.sha256(text.encode()).hexdigest()[:32], text, num_ops)


def add_relu(width: int) -> KernelTask:
    x, y = parameter("x", 4, width), parameter("y", 4, width)
    return task([x, y], relay.nn.relu(x + y))


def dense_add(units: int) -> KernelTask:
    x, w, b = parameter("x", 8, 64), parameter("w", units, 64), parameter("b", units)
    return task([x, w, b], relay.nn.dense(x, w) + b)


def conv_add_relu() -> relay.Function:
    x, w, b = parameter("x", 1, 2, 14, 14, 16), parameter("w", 2, 2, 3, 3, 16, 16), parameter("b", 1, 2, 1, 1, 16)
    conv = relay.nn.contrib_conv2d_nchwc(
        x,
        w,
        channels=32,
        kernel_size=(3, 3),
        padding=(1, 1, 1, 1),
        data_layout="NCHW16c",
        kernel_layout="OIHW16i16o",
        out_layout="NCHW16c",
    )
    return primitive([x, w, b], relay.nn.relu(conv + b))


def two_anchors() -> KernelTask:
    """TE refuses two convolutions in one kernel."""
    x, w, v = parameter("x", 1, 8, 8, 8), parameter("w", 8, 8, 3, 3), parameter("v", 8, 8, 3, 3)
    first = relay.nn.conv2d(x, w, kernel_size=(3, 3), channels=8, padding=(1, 1))
    return task([x, w, v], relay.nn.conv2d(first, v, kernel_size=(3, 3), channels=8, padding=(1, 1)))


def wild_take(*, num_ops: int) -> KernelTask:
    """Reads far outside its tensor: a segmentation fault, in the reference if `num_ops` asks for one."""
    data, indices = parameter("data", 8, 1), parameter("indices", 64, dtype="int32")
    far = indices * relay.const(200_000_000, "int32")
    return task([data, indices], relay.take(data, far, axis=0, mode="fast"), num_ops=num_ops)


def slow_matmul() -> KernelTask:
    """Some seconds on any CPU, by a schedule that does not suit it; it claims one op, so nothing is checked."""
    x, y = parameter("x", 1, 2048, 2048), parameter("y", 1, 2048, 2048)
    return task([x, y], relay.nn.batch_matmul(x, y, transpose_b=False), num_ops=1)


def huge_add(elements: int) -> KernelTask:
    x = parameter("x", elements)
    return task([x], relay.nn.relu(x + relay.const(1.0)))
