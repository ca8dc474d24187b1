"""What a plan takes of each device's memory at least: its weights there, and the values that are alive at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvm_go.copies import home_devices, reading_devices
from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64, OpGraph, ValueKind
from tvm_go.kernels import free_kernels

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1.0))


def weight_bytes(graph: OpGraph, kernel: Int32, device: Int32, count: int) -> Int64:
    """Bytes of the weights on each of so many devices: int64 [D]."""
    value, place = reading_devices(graph, kernel, device)
    constant = graph.value_kind[value] == ValueKind.CONSTANT
    return _sums(place[constant], graph.value_bytes[value[constant]], count)


def needed_bytes(graph: OpGraph, kernel: Int32, device: Int32, count: int) -> Int64:
    """Bytes that a plan takes at least on each of so many devices: int64 [D].

    Weights lie on every device that reads them; other values from the kernel that makes them, or from the first that
    reads a copy of them, to the last that reads them on that device. Views, and what kernels need inside, are left out.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op, in execution order.
    device : int32 [K]
        Device of each kernel.
    """
    num_kernels = len(device)
    home = home_devices(graph, kernel, device)
    made = graph.value_op >= 0
    maker = np.full(graph.num_values, -1, dtype=np.int64)
    maker[made] = kernel[graph.value_op[made]]
    reader = kernel[graph.use_op].astype(np.int64)
    kept = np.isnan(graph.value_scalar) & (graph.value_kind != ValueKind.CONSTANT)
    views = free_kernels(graph, kernel)
    kept[made] &= ~views[maker[made]]
    crossing = kept[graph.use_value] & (maker[graph.use_value] != reader)
    value, step = graph.use_value[crossing], reader[crossing]
    outputs = graph.output_values[kept[graph.output_values]]
    # One row for each place that a value is wanted at: the value, the device, and when.
    values = np.concatenate([value, value, outputs])
    places = np.concatenate([device[step], home[value], home[outputs]])
    steps = np.concatenate([step, step, np.full(len(outputs), num_kernels)])
    pair, which = np.unique(values.astype(np.int64) * count + places, return_inverse=True)
    owner, place = np.divmod(pair, count)
    first, last = np.full(len(pair), num_kernels), np.zeros(len(pair), dtype=np.int64)
    np.minimum.at(first, which, steps)
    np.maximum.at(last, which, steps)
    first = np.where(place == home[owner], np.maximum(maker[owner], 0), first)
    change = np.zeros((count, num_kernels + 2), dtype=np.int64)
    np.add.at(change, (place, first), graph.value_bytes[owner])
    np.add.at(change, (place, last + 1), -graph.value_bytes[owner])
    return weight_bytes(graph, kernel, device, count) + np.cumsum(change, axis=1).max(axis=1)


def too_large(
    graph: OpGraph, kernel: Int32, device: Int32, names: Sequence[str], memory_bytes: Sequence[int | None]
) -> str:
    """What does not fit, in one line; empty if everything does, as far as the sizes of memories are known."""
    if all(have is None for have in memory_bytes):
        return ""
    needed = needed_bytes(graph, kernel, device, len(names)).tolist()
    for place, (have, need) in enumerate(zip(memory_bytes, needed, strict=True)):
        if have is not None and need > have:
            weights = int(weight_bytes(graph, kernel, device, len(names))[place])
            own = f"{_size(need)} on {names[place]} ({_size(weights)} of weights)"
            return f"the model takes at least {own}, which has {_size(have)}"
    return ""


def check_memory(
    graph: OpGraph, kernel: Int32, device: Int32, names: Sequence[str], memory_bytes: Sequence[int | None]
) -> None:
    """Raise :class:`UsageError` if a plan cannot fit a device.

    Parameters
    ----------
    memory_bytes : sequence of int or None [D]
        Of each device; None where it is not known.
    """
    problem = too_large(graph, kernel, device, names, memory_bytes)
    if problem:
        raise UsageError(f"{problem}: take a device with more memory, a smaller batch or smaller weights")


def _sums(place: Int32, num_bytes: Int64, count: int) -> Int64:
    found = np.zeros(count, dtype=np.int64)
    np.add.at(found, place, num_bytes)
    return found


def _size(num_bytes: int) -> str:
    unit, scale = next((unit, scale) for unit, scale in _UNITS if num_bytes >= scale or scale == 1.0)
    return f"{num_bytes / scale:.3g} {unit}"
