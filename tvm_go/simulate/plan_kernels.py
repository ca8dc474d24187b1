"""What the kernels of a plan take on each device, compiled: arithmetic, traffic and launches of ops in their forms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.graph import Int32, Int64, ValueKind
from tvm_go.kernels import members
from tvm_go.simulate.forms import Bools, FormView
from tvm_go.simulate.workload import Floats

_CONSTANT = int(ValueKind.CONSTANT)


class PlanView(NamedTuple):
    """A graph of N ops, V values and U uses on D devices, as compiled functions read it; see `OpGraph` and `Costs`.

    Attributes
    ----------
    value_op, use_value, output_values : int32
    value_kind : int8 [V]
    is_scalar, is_output : bool [V]
    value_bytes, flops : float64 [V], [N]
    free : bool [N]
    use_start : int64 [N + 1]
    inputs : int64
        The graph's inputs among its values.
    flops_per_ms, roofline_bytes_per_ms, launch_ms : float64 [D]
        What kernels reach in their usual form, not what data sheets promise.
    forms : FormView
    """

    value_op: Int32
    value_kind: NDArray[np.int8]
    is_scalar: Bools
    is_output: Bools
    value_bytes: Floats
    use_value: Int32
    use_start: Int64
    output_values: Int32
    inputs: Int64
    flops: Floats
    free: Bools
    flops_per_ms: Floats
    roofline_bytes_per_ms: Floats
    launch_ms: Floats
    memory_bytes: Floats
    bytes_per_ms: Floats
    latency_ms: Floats
    link: Int32
    overlap: bool
    forms: FormView


class PlanKernels(NamedTuple):
    """K kernels of a plan.

    Attributes
    ----------
    start, ops : int64 [K + 1], int32 [N]
        Their ops, see `tvm_go.kernels.members`.
    ms : float64 [K, D]
    resident_bytes : float64 [K]
    leaves : bool [V]
        Values that leave the kernel which makes them.
    outputs : int64 [K]
        How many of each kernel.
    """

    start: Int64
    ops: Int32
    ms: Floats
    resident_bytes: Floats
    leaves: Bools
    outputs: Int64


@njit(cache=True, nogil=True)
def kernels_of(view: PlanView, form: Int32, kernel: Int32) -> PlanKernels:
    """The kernels of a partition, int32 [N], of ops in some forms, int32 [N]."""
    start, ops = members(kernel)
    count, devices = len(start) - 1, len(view.launch_ms)
    leaves = _leaving(view, kernel)
    flops, moved = np.zeros((count, devices)), np.zeros((count, devices))
    resident, outputs = np.zeros(count), np.zeros(count, dtype=np.int64)
    free = np.ones(count, dtype=np.bool_)
    for value in range(len(leaves)):
        if leaves[value]:
            maker = view.value_op[value]
            outputs[kernel[maker]] += 1
            for d in range(devices):
                moved[kernel[maker], d] += view.value_bytes[value] * view.forms.result[form[maker], d]
    seen = np.full(len(leaves), -1, dtype=np.int64)
    for number in range(count):
        for place in range(start[number], start[number + 1]):
            op = ops[place]
            free[number] &= view.free[op]
            for d in range(devices):
                flops[number, d] += view.flops[op] * view.forms.arithmetic[form[op], d]
            for use in range(view.use_start[op], view.use_start[op + 1]):
                value = view.use_value[use]
                maker = view.value_op[value]
                if seen[value] == number or view.is_scalar[value] or (maker >= 0 and kernel[maker] == number):
                    continue
                seen[value] = number
                constant = view.value_kind[value] == _CONSTANT
                read = view.forms.weight if constant else view.forms.image
                for d in range(devices):
                    moved[number, d] += view.value_bytes[value] * read[form[op], d]
                if constant:
                    resident[number] += view.value_bytes[value] * view.forms.weight_bytes[form[op]]
    ms = np.zeros((count, devices))
    for number in range(count):
        if free[number] and outputs[number] == 1:
            continue
        for d in range(devices):
            computing = flops[number, d] / view.flops_per_ms[d]
            ms[number, d] = max(computing, moved[number, d] / view.roofline_bytes_per_ms[d]) + view.launch_ms[d]
    return PlanKernels(start, ops, ms, resident, leaves, outputs)


@njit(cache=True, nogil=True)
def _leaving(view: PlanView, kernel: Int32) -> Bools:
    """Values that leave the kernel which makes them: bool [V]; as `tvm_go.kernels.returned_values`."""
    leaves = view.is_output & (view.value_op >= 0)
    for op in range(len(kernel)):
        for use in range(view.use_start[op], view.use_start[op + 1]):
            value = view.use_value[use]
            maker = view.value_op[value]
            if maker >= 0 and kernel[maker] != kernel[op]:
                leaves[value] = True
    return leaves
