"""What a plan on several devices copies: each value once to every other device that needs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvm_go.arrays import freeze_arrays
from tvm_go.graph import Int32, Int64, OpGraph, ValueKind

HOST = 0  # of a target set's devices: it holds what goes into a model and what comes out of it


@dataclass(frozen=True, eq=False)
class Copies:
    """C copies from device to device, sorted by value and then by destination.

    Attributes
    ----------
    value : int32 [C]
        What is copied.
    source, destination : int32 [C]
        Devices; never the same.
    num_bytes : int64 [C]
    """

    value: Int32
    source: Int32
    destination: Int32
    num_bytes: Int64

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def count(self) -> int:
        return len(self.value)


def copies(graph: OpGraph, kernel: Int32, device: Int32) -> Copies:
    """The copies in a run of a plan.

    A value is made on the device of its kernel, and copied once to each other device that has a kernel which reads it.
    Model inputs are on the host, and model outputs are wanted there. Weights are no copies: they are loaded before the
    run on each device that reads them.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op.
    device : int32 [K]
        Device of each kernel.
    """
    value, reader = reading_devices(graph, kernel, device)
    home = home_devices(graph, kernel, device)[value]
    copied = (home != reader) & (graph.value_kind[value] != ValueKind.CONSTANT)
    value = value[copied]
    return Copies(value, home[copied], reader[copied], graph.value_bytes[value])


def home_devices(graph: OpGraph, kernel: Int32, device: Int32) -> Int32:
    """Device that makes each value: int32 [V]; the host for inputs and constants."""
    home = np.full(graph.num_values, HOST, dtype=np.int32)
    made = graph.value_op >= 0
    home[made] = device[kernel[graph.value_op[made]]]
    return home


def reading_devices(graph: OpGraph, kernel: Int32, device: Int32) -> tuple[Int32, Int32]:
    """Values and the devices that need them, each pair once: two arrays, sorted by value, then by device.

    The host needs what the model returns. Scalars, which are compiled into kernels, are left out.
    """
    used = np.isnan(graph.value_scalar[graph.use_value])
    values = np.concatenate([graph.use_value[used], graph.output_values]).astype(np.int64)
    readers = np.concatenate([device[kernel[graph.use_op[used]]], np.full(len(graph.output_values), HOST)])
    count = int(device.max(initial=HOST)) + 1
    value, reader = np.divmod(np.unique(values * count + readers), count)
    return value.astype(np.int32), reader.astype(np.int32)
