"""Ops of cells with the arithmetic, bytes and weights that follow from their shapes, in single precision."""

from __future__ import annotations

from collections.abc import Sequence

from tvm_go.simulate.families.stack import Back, Cell, CellOp

FLOAT_BYTES = 4.0
Read = str | Back


def source(name: str, elements: float) -> CellOp:
    """A batch of input that is there from the start."""
    return CellOp(name, "input", (), FLOAT_BYTES * elements)


def pointwise(name: str, op_type: str, elements: float, *reads: Read, flops_per_element: float = 1.0) -> CellOp:
    """Any op that makes `elements` numbers at a fixed cost each: elementwise, norm, softmax, pooling, reshape."""
    return CellOp(name, op_type, reads, FLOAT_BYTES * elements, flops_per_element * elements)


def matmul(name: str, rows: float, inner: float, columns: float, *reads: Read) -> CellOp:
    """[rows, inner] by weights [inner, columns]."""
    return CellOp(
        name,
        "matmul",
        reads,
        FLOAT_BYTES * rows * columns,
        2.0 * rows * inner * columns,
        FLOAT_BYTES * inner * columns,
    )


def product(name: str, batch: float, rows: float, inner: float, columns: float, *reads: Read) -> CellOp:
    """[batch, rows, inner] by [batch, inner, columns]: both sides are made by ops."""
    return CellOp(
        name, "batch_matmul", reads, FLOAT_BYTES * batch * rows * columns, 2.0 * batch * rows * inner * columns
    )


def lookup(name: str, tokens: float, vocabulary: int, hidden: int, *reads: Read) -> CellOp:
    """Rows of an embedding table, one for each token."""
    size = FLOAT_BYTES * tokens * hidden
    table = FLOAT_BYTES * vocabulary * hidden
    return CellOp(name, "lookup", reads, size, weight_bytes=table, reads_weights=min(1.0, size / table))


def conv(
    name: str, pixels: float, inputs: int, outputs: int, window: int, *reads: Read, op_type: str = "conv"
) -> CellOp:
    """Convolution: `pixels` output positions (of all images), `window` positions under the kernel."""
    return CellOp(
        name,
        op_type,
        reads,
        FLOAT_BYTES * pixels * outputs,
        2.0 * pixels * inputs * outputs * window,
        FLOAT_BYTES * inputs * outputs * window,
    )


def conv_unit(name: str, pixels: float, inputs: int, outputs: int, window: int, *reads: Read) -> Cell:
    """Convolution, batch norm and relu; `name` is the last of them."""
    return (
        conv(f"{name} conv", pixels, inputs, outputs, window, *reads),
        pointwise(f"{name} norm", "batch_norm", pixels * outputs, f"{name} conv", flops_per_element=2.0),
        pointwise(name, "relu", pixels * outputs, f"{name} norm"),
    )


def classifier(rows: float, inner: int, classes: int, read: Read) -> Cell:
    """Logits and their softmax, which is called ``loss``."""
    return (
        matmul("logits", rows, inner, classes, read),
        pointwise("loss", "softmax", rows * classes, "logits", flops_per_element=5.0),
    )


def concat(name: str, elements: float, reads: Sequence[Read]) -> CellOp:
    """Several tensors as one of `elements` numbers."""
    return CellOp(name, "concat", tuple(reads), FLOAT_BYTES * elements)
