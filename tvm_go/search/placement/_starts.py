"""Placements to start from: contiguous and balanced, or everything on one device."""

from __future__ import annotations

import numpy as np

from tvm_go.graph import Int32
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.costs import costs_of
from tvm_go.simulate.depth_first import depth_first
from tvm_go.simulate.workload import Floats

_BATCH_OPS = 20_000_000


def starts(workload: Workload, machine: Machine) -> Int32:
    """Some placements that keep colocation, int32 [B, N]; any of them may lack memory or use a device that cannot.

    Everything on each kind of device; then runs of ops in topological order, with equal work and with equal memory,
    over all devices and over all but the first kind's.
    """
    op_ms = machine.op_ms(workload)
    kinds = [device.kind for device in machine.devices]
    rows = [np.full(workload.num_ops, kinds.index(kind), dtype=np.int32) for kind in dict.fromkeys(kinds)]
    every = np.arange(machine.num_devices)
    other = np.array([d for d in every if kinds[d] != kinds[0]], dtype=np.int64)
    work_ms = np.where(np.isfinite(op_ms), op_ms, 0.0).min(axis=1)
    for used in (every, other):
        if len(used):
            rows += [contiguous(workload, weight, used) for weight in (work_ms, workload.resident_bytes)]
    return np.stack(rows)


def evaluate_starts(problem: PlacementProblem, first: Int32) -> Floats:
    """Milliseconds of some placements, int32 [B, N]; under ``concurrent`` also depth first, if that is quicker."""
    values = problem.evaluate(first)
    if problem.objective == "concurrent" and not problem.exhausted:
        costs = costs_of(problem.workload, problem.machine)
        values = np.minimum(values, problem.evaluate(first, depth_first(costs)[None]))
    return values


def batch_rows(workload: Workload, most: int) -> int:
    """How many placements to make at once: fewer of a large graph, so that they stay within some 100 MB."""
    return int(np.clip(_BATCH_OPS // max(workload.num_ops, 1), 1, most))


def allowed(op_ms: Floats, device: Int32) -> Int32:
    """Put what takes ``inf`` where it is on its quickest device: int32 [N], with ``op_ms`` float64 [N, D]."""
    fits = np.isfinite(np.take_along_axis(op_ms, device[:, None].astype(np.int64), axis=1)[:, 0])
    return np.where(fits, device, op_ms.argmin(axis=1)).astype(np.int32)


def contiguous(workload: Workload, weight: Floats, used: np.typing.NDArray[np.integer]) -> Int32:
    """Cut the sequence of colocation classes into runs of about equal weight, one for each device: int32 [N]."""
    total = np.cumsum(np.bincount(workload.colocation, weight, workload.num_classes))
    share = (total - total[:1].sum() / 2) / max(float(total[-1:].sum()), 1e-300)
    run = np.minimum((share * len(used)).astype(np.int64), len(used) - 1)
    return used[np.maximum(run, 0)].astype(np.int32)[workload.colocation]
