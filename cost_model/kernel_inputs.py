"""Random inputs of a kernel: the same on both sides of a wire, from the kernel's key alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relay

Array = npt.NDArray[Any]

# Prime, so that the repeated block never lines up with a tensor's rows.
BLOCK = 32_749
_NEXT_INPUT = 12_343
_SMALL_INTEGERS = 8
_INTEGER_DIVISIONS = frozenset({"divide", "floor_divide", "mod", "floor_mod", "trunc_divide", "trunc_mod"})
_POSITIVE_DOMAIN = frozenset({"sqrt", "rsqrt", "log", "log2", "log10", "power"})


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one input or output."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class InputRange:
    """The values that the inputs of one kernel may take.

    Attributes
    ----------
    lowest, end : int
        Integers are drawn from [lowest, end).
    positive : bool
        Floats are absolute values of normal numbers, for kernels that take roots or logarithms: NaN in all outputs
        would hide any mistake.
    """

    lowest: int
    end: int
    positive: bool


def input_range(function: relay.Function) -> InputRange:
    """The values for which every op of a kernel is defined: indices inside their tensor, no division by zero."""
    calls: list[relay.Call] = []
    relay.analysis.post_order_visit(function, lambda node: calls.append(node) if isinstance(node, relay.Call) else None)
    names = {call.op.name for call in calls}
    bounds = [bound for call in calls if (bound := _index_bound(call)) is not None]
    return InputRange(
        lowest=1 if names & _INTEGER_DIVISIONS and not bounds else 0,
        end=max(1, min(bounds)) if bounds else _SMALL_INTEGERS,
        positive=bool(names & _POSITIVE_DOMAIN),
    )


def _index_bound(call: relay.Call) -> int | None:
    """How many positions the integer inputs of a call may name; None for an op that has no indices."""
    name = call.op.name
    if name in ("take", "gather", "scatter_elements"):
        shape = _shape(call.args[0].checked_type)
        axis = call.attrs.axis
        return int(np.prod(shape)) if axis is None else shape[int(axis)]
    if name in ("gather_nd", "scatter_nd", "reverse_sequence"):
        return min(_shape(call.args[0].checked_type), default=1)
    if name == "adv_index":
        return min(_shape(call.args[0].checked_type.fields[0]), default=1)
    if name == "sparse_to_dense":
        return min((int(extent) for extent in call.attrs.output_shape), default=1)
    return None


def _shape(tensor_type: relay.TensorType) -> list[int]:
    return [int(extent) for extent in tensor_type.shape]


@functools.cache
def normal_block(positive: bool) -> Array:
    """The standard normal float32 numbers [BLOCK] that all float inputs repeat, or their absolute values."""
    block = np.random.default_rng(0).standard_normal(BLOCK, dtype=np.float32)
    return np.abs(block) + np.float32(0.01) if positive else block


def block_start(key: str, index: int) -> int:
    """Where in the block an input of a kernel begins."""
    return (int(key, 16) + index * _NEXT_INPUT) % BLOCK


def random_inputs(specs: tuple[TensorSpec, ...], values: InputRange, key: str) -> list[Array]:
    """Random tensors of given shapes; the same key gives the same numbers in every process.

    Parameters
    ----------
    specs : tuple of TensorSpec
        What to make.
    values : InputRange
        What the numbers may be.
    key : str
        32 hexadecimal characters, the seed.

    Returns
    -------
    list of numpy.ndarray
        Standard normal floats (never denormal, which would be timed up to 40 times too slow), small non-negative
        integers, random booleans. Large tensors repeat a block of 32,749 numbers.
    """
    return [random_input(spec, values, key, index) for index, spec in enumerate(specs)]


def random_input(spec: TensorSpec, values: InputRange, key: str, index: int) -> Array:
    """The input of a kernel at one position; see `random_inputs`."""
    if spec.dtype.startswith(("float", "bfloat")):
        block = np.roll(normal_block(values.positive), -block_start(key, index))
        if spec.dtype == "bfloat16":  # its upper half, as bits: numpy has no such type, and TVM takes them so
            block = (block.view(np.uint32) >> 16).astype(np.uint16)
        else:
            block = block.astype(spec.dtype)
    else:
        generator = np.random.default_rng((int(key, 16), index))
        if spec.dtype == "bool":
            block = generator.integers(0, 2, BLOCK).astype(np.bool_)
        else:
            end = min(values.end, int(np.iinfo(spec.dtype).max))
            block = generator.integers(min(values.lowest, end - 1), end, BLOCK).astype(spec.dtype)
    return np.resize(block, spec.shape)


def to_device(array: Array, spec: TensorSpec, device: Any) -> tvm.nd.NDArray:
    """An input on a local or remote device."""
    return tvm.nd.empty(spec.shape, spec.dtype, device).copyfrom(array)
