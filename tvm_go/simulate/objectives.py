"""What a placement is judged by: milliseconds of a workload on a machine, for a batch of placements at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.by_name import check_name
from tvm_go.errors import UsageError
from tvm_go.graph import Int32
from tvm_go.simulate import split_scores
from tvm_go.simulate.costs import Costs, costs_of, longest_remaining_ms
from tvm_go.simulate.executors.concurrent import concurrent_ms
from tvm_go.simulate.executors.pipeline import pipeline_ms
from tvm_go.simulate.executors.sequential import sequential_ms
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.workload import Floats, Workload

EXECUTORS = ("sequential", "concurrent", "pipeline")
"""Objectives that `tvm_go.simulate.execution.execute` can also show in detail."""
OBJECTIVES = ("throughput", "latency", *EXECUTORS)
_OPS_WORTH_A_THREAD = 20_000  # some milliseconds; below that, starting threads takes longer than they save


def evaluate(
    workload: Workload, machine: Machine, objective: str, devices: Int32, priorities: Floats | None = None
) -> Floats:
    """Milliseconds of some placements; ``inf`` for one that is not feasible.

    A placement is not feasible if an op cannot run on its device, a colocation class is split, or a device needs more
    memory than it has. Several are worked on at once, by as many threads as numba may use (``NUMBA_NUM_THREADS``).

    Parameters
    ----------
    objective : str
        ``sequential``, ``concurrent``, ``pipeline``: see `run_sequential`, `run_concurrent` and `run_pipeline` in
        `tvm_go.simulate.executors`. ``throughput`` and ``latency``: what the judge of dnn-partitioning computes.
    devices : int32 [B, N]
    priorities : float64 [B, N] or [1, N], optional
        Larger goes first; one row serves all placements. Without them, `default_priority`. Only ``sequential`` and
        ``concurrent`` look at them.

    Returns
    -------
    float64 [B]

    Raises
    ------
    UsageError
        If the objective is unknown, a shape is wrong, a device does not exist, or a priority is not a number.
    """
    check_name(OBJECTIVES, objective, "objective")
    devices = checked_devices(workload, machine, devices)
    if objective == "throughput":
        return split_scores.throughput(workload, machine, devices)
    if objective == "latency":
        return split_scores.latency(workload, machine, devices)
    costs = costs_of(workload, machine)
    if priorities is None:
        priorities = default_priority(costs, objective)[None]
    else:
        rows = 1 if len(priorities) == 1 else len(devices)
        priorities = checked_priorities(priorities, (rows, workload.num_ops))
    return _in_threads(_MANY[objective], costs, devices, priorities)


def default_priority(costs: Costs, objective: str) -> Floats:
    """Priorities where none are given: float64 [N].

    Under ``sequential`` ops run by number, TVM's own topological order; otherwise by the longest way that remains.
    """
    if objective == "sequential":
        return -np.arange(len(costs.op_ms), dtype=np.float64)
    return longest_remaining_ms(costs)


def checked_devices(workload: Workload, machine: Machine, devices: NDArray[np.integer]) -> Int32:
    """Devices as int32 [B, N], a copy; raises UsageError, see `evaluate`."""
    if devices.ndim != 2 or devices.shape[1] != workload.num_ops or devices.dtype.kind not in "iu":
        raise UsageError(
            f"placements are {devices.dtype} {devices.shape}; give whole numbers [B, {workload.num_ops}], one per op"
        )
    wrong = (devices < 0) | (devices >= machine.num_devices)
    if wrong.any():
        placement, op = (int(i) for i in np.argwhere(wrong)[0])
        raise UsageError(
            f"op {workload.op_ids[op]} is placed on device {devices[placement, op]}; "
            f"{machine.name} has devices 0 to {machine.num_devices - 1}"
        )
    return np.array(devices, dtype=np.int32, order="C")


def checked_priorities(priorities: NDArray[np.generic], shape: tuple[int, ...]) -> Floats:
    """Priorities as float64 [B, N], a copy; raises UsageError, see `evaluate`."""
    if priorities.shape != shape:
        raise UsageError(f"priorities are {priorities.shape}; give {shape}, one per op of each placement")
    result = np.array(priorities, dtype=np.float64, order="C")
    wrong = np.isnan(result)
    if wrong.any():
        placement, op = (int(i) for i in np.argwhere(wrong)[0])
        raise UsageError(f"the priority of op {op} in placement {placement} is nan; give a number")
    return result


def _in_threads(
    many: Callable[[Costs, Int32, Floats, Floats], None], costs: Costs, devices: Int32, priorities: Floats
) -> Floats:
    result = np.empty(len(devices), dtype=np.float64)
    threads = min(numba.config.NUMBA_NUM_THREADS, len(devices)) if devices.size >= _OPS_WORTH_A_THREAD else 1
    if threads <= 1:
        many(costs, devices, priorities, result)
        return result
    with ThreadPoolExecutor(threads) as pool:
        parts = [slice(len(devices) * i // threads, len(devices) * (i + 1) // threads) for i in range(threads)]
        shared = len(priorities) < len(devices)
        jobs = [
            pool.submit(many, costs, devices[part], priorities if shared else priorities[part], result[part])
            for part in parts
        ]
        for job in jobs:
            job.result()
    return result


@njit(cache=True, nogil=True)
def _many_sequential(costs: Costs, devices: Int32, priorities: Floats, result: Floats) -> None:
    for i in range(len(devices)):
        result[i] = sequential_ms(costs, devices[i], priorities[min(i, len(priorities) - 1)])


@njit(cache=True, nogil=True)
def _many_concurrent(costs: Costs, devices: Int32, priorities: Floats, result: Floats) -> None:
    for i in range(len(devices)):
        result[i] = concurrent_ms(costs, devices[i], priorities[min(i, len(priorities) - 1)])


@njit(cache=True, nogil=True)
def _many_pipeline(costs: Costs, devices: Int32, priorities: Floats, result: Floats) -> None:
    for i in range(len(devices)):
        result[i] = pipeline_ms(costs, devices[i], priorities[min(i, len(priorities) - 1)])


_MANY = {"sequential": _many_sequential, "concurrent": _many_concurrent, "pipeline": _many_pipeline}
