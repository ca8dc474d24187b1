"""A workload from the kernels of a partition, whose times on each device are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvm_go.copies import HOST
from tvm_go.graph import Int32, OpGraph, ValueKind
from tvm_go.kernels import returned_values
from tvm_go.simulate.workload import Floats, Workload


@dataclass(frozen=True, eq=False)
class KernelWorkload:
    """Kernels as the ops of a workload, with what holds the model's inputs, single outputs of kernels, and results.

    Attributes
    ----------
    workload : Workload
        Its kinds of devices are those of the target set.
    node : int32 [K]
        Op of the workload that each kernel is.
    """

    workload: Workload
    node: Int32

    def device_of(self, placement: Int32) -> Int32:
        """Device of each kernel, int32 [K], under a placement of the workload."""
        return placement[self.node]


def from_kernels(
    graph: OpGraph, kernel: Int32, ms: Floats, devices: tuple[str, ...], name: str = "model"
) -> KernelWorkload:
    """The kernels of a partition as a workload.

    Inputs and results of the model are ops that take no time on the host; so is each output of a kernel that has
    several, on the kernel's device: what is copied is then exactly what `tvm_go.copies.copies` says. Weights are on
    the device of the kernel that reads them.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op, numbered in execution order.
    ms : float64 [K, D]
        Milliseconds of each kernel on each device, the host first; ``inf`` where it cannot run.
    devices : tuple of str [D]
    """
    count = len(ms)
    leaving = np.flatnonzero(returned_values(graph, kernel))  # values that kernels make for others
    maker = kernel[graph.value_op[leaving]]
    shared = np.bincount(maker, minlength=count)[maker] > 1
    extra = np.bincount(maker[shared], minlength=count)  # outputs of each kernel that are ops of their own
    inputs = np.flatnonzero(graph.value_kind == ValueKind.INPUT)
    node = len(inputs) + np.arange(count) + np.cumsum(extra) - extra
    total = len(inputs) + count + int(extra.sum()) + 1
    value_node = np.full(graph.num_values, -1, dtype=np.int64)
    value_node[inputs] = np.arange(len(inputs))
    value_node[leaving[~shared]] = node[maker[~shared]]
    by_maker = leaving[shared][np.argsort(maker[shared], kind="stable")]
    own = np.ones(total, dtype=np.bool_)
    own[: len(inputs)] = own[node] = own[-1] = False
    value_node[by_maker] = np.flatnonzero(own)

    op_ms = np.zeros((total, len(devices)))
    op_ms[: len(inputs)] = op_ms[-1] = np.where(np.arange(len(devices)) == HOST, 0.0, np.inf)
    op_ms[node] = ms
    output_bytes = np.zeros(total)
    single = value_node >= 0
    output_bytes[value_node[single]] = graph.value_bytes[single]
    reader = node[kernel[graph.use_op]]
    used = value_node[graph.use_value]
    reads = (used >= 0) & ~((graph.value_op[graph.use_value] >= 0) & _within(graph, kernel))
    results = value_node[graph.output_values]
    makes = np.stack([node[kernel[graph.value_op[by_maker]]], value_node[by_maker]], axis=1)
    edges = np.concatenate(
        [
            np.stack([used[reads], reader[reads]], axis=1),
            makes,
            np.stack([results[results >= 0], np.full(int((results >= 0).sum()), total - 1)], axis=1),
        ]
    )
    held = (graph.value_kind[graph.use_value] == ValueKind.CONSTANT) & np.isnan(graph.value_scalar[graph.use_value])
    pairs = np.unique(np.stack([reader[held], graph.use_value[held]], axis=1), axis=0)
    resident = np.bincount(pairs[:, 0], weights=graph.value_bytes[pairs[:, 1]], minlength=total)
    colocation = np.full(total, -1, dtype=np.int64)
    colocation[makes[:, 1]] = colocation[makes[:, 0]] = makes[:, 0]
    workload = Workload.of(
        name,
        devices,
        op_ms,
        edges,
        output_bytes=output_bytes,
        resident_bytes=resident.astype(np.float64),
        colocation=colocation,
    )
    return KernelWorkload(workload, node.astype(np.int32))


def _within(graph: OpGraph, kernel: Int32) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Uses of a value in the kernel that makes it: bool [U]."""
    maker = graph.value_op[graph.use_value]
    return (maker >= 0) & (kernel[maker] == kernel[graph.use_op])
