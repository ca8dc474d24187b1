"""What a plan does one thing after another: its kernels, and copies before those that read them; and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tvm_go.arrays import freeze_arrays, run_starts
from tvm_go.copies import HOST, Copies, copies
from tvm_go.errors import PlanError
from tvm_go.graph import Int32, Int64, OpGraph
from tvm_go.kernels import free_kernels, returned_values
from tvm_go.report.scene import Floats
from tvm_go.simulate.kernel_tensors import KernelTensors
from tvm_go.simulate.peak_memory import live_bytes


@dataclass(frozen=True, eq=False)
class Steps:
    """K kernels and C copies, one after another.

    Attributes
    ----------
    copies : Copies
    of_kernel : int64 [K]
        Step that each kernel is, ascending.
    of_copy : int64 [C]
        Step that each copy is.
    """

    copies: Copies
    of_kernel: Int64
    of_copy: Int64

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def count(self) -> int:
        return len(self.of_kernel) + len(self.of_copy)


def steps_of(graph: OpGraph, kernel: Int32, device: Int32) -> Steps:
    """Kernels in the plan's order; each copy just before the first kernel that reads it, of results at the end.

    TVM's graph executor runs what its code generator visits, and that visits arguments in order: where a copy stands
    before what another kernel has yet to make, it comes before that kernel. What all steps take together is the same.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op, numbered in execution order.
    device : int32 [K]
        Device of each kernel.
    """
    moved = copies(graph, kernel, device)
    width = int(device.max(initial=HOST)) + 1
    reader = kernel[graph.use_op]
    value = np.concatenate([graph.use_value, graph.output_values]).astype(np.int64)
    wanted_on = np.concatenate([device[reader], np.full(len(graph.output_values), HOST)])
    before = np.concatenate([reader, np.full(len(graph.output_values), len(device))])
    by_time = np.argsort(before, kind="stable")
    keys, first = np.unique((value * width + wanted_on)[by_time], return_index=True)
    rank = first[np.searchsorted(keys, moved.value.astype(np.int64) * width + moved.destination)]
    order = np.argsort(rank)
    ahead = before[by_time[rank[order]]]  # kernels before each copy
    of_copy = np.empty(moved.count, dtype=np.int64)
    of_copy[order] = ahead + np.arange(moved.count)
    kernels = np.arange(len(device))
    return Steps(moved, kernels + np.searchsorted(ahead, kernels, side="right"), of_copy)


@dataclass(frozen=True, eq=False)
class TimedSteps:
    """When S steps run.

    Attributes
    ----------
    start_ms, end_ms : float64 [S]
        What takes nobody knows how long counts nothing; if that is all kernels, each step takes as long as any other.
    copy_ms : float64 [C]
        Of each copy, as predicted; NaN where nobody knows.
    measured : bool
        Whether times are milliseconds.
    """

    steps: Steps
    start_ms: Floats
    end_ms: Floats
    copy_ms: Floats
    measured: bool


def timed_steps(steps: Steps, kernel_ms: Floats, copy_ms: Floats) -> TimedSteps:
    """Steps that run one after another."""
    measured = bool(np.isfinite(kernel_ms).any())
    ms = np.empty(steps.count)
    ms[steps.of_kernel], ms[steps.of_copy] = kernel_ms, copy_ms
    taken = np.where(np.isfinite(ms), ms, 0.0) if measured else np.ones(steps.count)
    end_ms = np.cumsum(taken)
    return TimedSteps(steps, np.concatenate([[0.0], end_ms])[:-1], end_ms, copy_ms, measured)


def copy_ms_of(provenance: Mapping[str, Any], count: int) -> Floats:
    """What a plan's provenance says that its copies take: float64 [C], NaN if it says nothing.

    Raises
    ------
    PlanError
        If it speaks of other copies.
    """
    said = provenance.get("copy_ms")
    if said is None:
        return np.full(count, np.nan)
    try:
        copy_ms = np.array(said, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PlanError(f"the plan's copy_ms are no times ({error}): tune again") from error
    if copy_ms.shape != (count,):
        raise PlanError(f"the plan says how long {copy_ms.size} copies take and makes {count}: tune again")
    return copy_ms


def live_bytes_of(graph: OpGraph, kernel: Int32, device: Int32, steps: Steps, num_devices: int) -> Floats:
    """Bytes of the tensors that are alive on each device during each step: float64 [D, S].

    A tensor is on the device that makes it until the last kernel there has read it and its last copy is made; a copy is
    on the device that reads it. Inputs and weights of the model are left out, copies of inputs are not.
    """
    tensors, place = _tensors(graph, kernel, device, steps, num_devices)
    order = np.arange(steps.count, dtype=np.int32)
    return np.stack(
        [
            live_bytes(replace(tensors, output_bytes=np.where(place == number, tensors.output_bytes, 0)), order)
            for number in range(num_devices)
        ]
    ).astype(np.float64)


def _tensors(
    graph: OpGraph, kernel: Int32, device: Int32, steps: Steps, num_devices: int
) -> tuple[KernelTensors, Int32]:
    """What steps make and read, a copy as a kernel with one output; and the device of each tensor: int32 [T]."""
    moved = steps.copies
    leaving = np.flatnonzero(returned_values(graph, kernel))
    maker = kernel[graph.value_op[leaving]]
    made_in = np.concatenate([steps.of_kernel[maker], steps.of_copy])
    by_step = np.argsort(made_in, kind="stable")
    value = np.concatenate([leaving, moved.value])[by_step]
    place = np.concatenate([device[maker], moved.destination])[by_step].astype(np.int32)
    on = np.full((graph.num_values, num_devices), -1, dtype=np.int32)  # tensor of a value on a device
    on[value, place] = np.arange(len(value))

    reader, producer = kernel[graph.use_op], graph.value_op[graph.use_value]
    outside = (producer < 0) | (kernel[producer] != reader)
    read = np.concatenate([on[graph.use_value, device[reader]], on[moved.value, moved.source]])
    read_in = np.concatenate([steps.of_kernel[reader], steps.of_copy])
    known = (read >= 0) & np.concatenate([outside, np.ones(moved.count, dtype=np.bool_)])
    read, read_in = read[known], read_in[known]
    by_reader = np.argsort(read_in, kind="stable")
    is_view = np.zeros(steps.count, dtype=np.bool_)
    is_view[steps.of_kernel] = free_kernels(graph, kernel)
    return (
        KernelTensors(
            output_start=run_starts(made_in[by_step], steps.count),
            output_bytes=graph.value_bytes[value],
            use_start=run_starts(read_in[by_reader], steps.count),
            use_tensor=read[by_reader].astype(np.int32),
            is_view=is_view,
            returned=graph.is_output[value] & (place == HOST),
        ),
        place,
    )
