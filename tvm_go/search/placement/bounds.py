"""Lower bounds that cost next to nothing: the longest path, the largest class, and work that flows like water."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.errors import UnsupportedModelError
from tvm_go.graph import Int32, Int64
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.split_scores import HOST
from tvm_go.simulate.workload import Floats

Bools = NDArray[np.bool_]

_FLUID_STEPS = 300
_MEMORY_SLACK = 1 + 1e-9  # as in every score


def class_costs(workload: Workload, machine: Machine, *, hosts_are_one: bool) -> tuple[Floats, Floats, Floats]:
    """Milliseconds of each colocation class on each device, its resident bytes, and the memory of the devices.

    float64 [C, D], with ``inf`` where an op of the class cannot run, or where the class alone exceeds the memory;
    float64 [C]; float64 [D].

    Parameters
    ----------
    hosts_are_one : bool
        Whether a class may use the memory of all devices of kind ``cpu``, as under throughput and latency.

    Raises
    ------
    UnsupportedModelError
        If some op or class can be on no device, or all together do not fit; it says which, and why.
    """
    op_ms, count = machine.op_ms(workload), workload.num_classes
    label = workload.colocation
    ms = np.stack([np.bincount(label, weights=column, minlength=count) for column in op_ms.T], axis=1)
    size: Floats = np.bincount(label, weights=workload.resident_bytes, minlength=count).astype(np.float64)
    memory = machine.memory_bytes
    _require(workload, np.isfinite(ms), "no device runs all ops that must share one with it; "
             "take it out of its colocation class")  # fmt: skip
    if hosts_are_one:
        is_host = np.array([device.kind == HOST for device in machine.devices])
        memory[is_host] = memory[is_host].sum()
    fits = size[:, None] <= memory * _MEMORY_SLACK
    _require(
        workload,
        np.isfinite(ms) & fits,
        "it and the ops that share its device keep more bytes than the memory of any device that runs them "
        f"(the largest memory is {memory.max():.0f} bytes)",
    )
    if size.sum() > machine.memory_bytes.sum() * _MEMORY_SLACK:
        raise UnsupportedModelError(
            f"{workload.name}: infeasible: the ops keep {size.sum():.0f} bytes and the devices of {machine.name} "
            f"have {machine.memory_bytes.sum():.0f}; give it more memory or more devices"
        )
    return np.where(fits, ms, np.inf), size, memory


def _require(workload: Workload, placeable: Bools, why: str) -> None:
    """Raise which op can be on no device: [C, D]."""
    unplaceable = ~placeable.any(axis=1)
    if unplaceable.any():
        op = workload.op_ids[int(workload.class_first[int(np.argmax(unplaceable))])]
        raise UnsupportedModelError(f"{workload.name}: infeasible: op {op} can be on no device: {why}")


def lower_bound(workload: Workload, machine: Machine, objective: str) -> float:
    """Milliseconds that no feasible placement can go below, for every objective.

    Raises
    ------
    UnsupportedModelError
        If it is plain that nothing is feasible.
    """
    if workload.num_ops == 0:
        return 0.0
    ms, size, memory = class_costs(workload, machine, hosts_are_one=objective in ("throughput", "latency"))
    if objective == "sequential":
        return float(ms.min(axis=1).sum())
    path = longest_path(machine.op_ms(workload).min(axis=1), *workload.producers)
    if objective == "latency":  # the cores of the host are not counted, so work may be done any number at a time
        return path
    bound = max(float(ms.min(axis=1).max()), fluid(ms, size, memory))
    return max(bound, path) if objective == "concurrent" else bound


@njit(cache=True, nogil=True)
def longest_path(op_ms: Floats, starts: Int64, producers: Int32) -> float:
    """Milliseconds of the longest chain of ops, whose own are float64 [N]."""
    finish = op_ms.copy()
    longest = 0.0
    for op in range(len(op_ms)):
        for e in range(starts[op], starts[op + 1]):
            finish[op] = max(finish[op], finish[producers[e]] + op_ms[op])
        longest = max(longest, finish[op])
    return longest


def fluid(ms: Floats, size: Floats, memory: Floats) -> float:
    """The largest load if classes could be divided among devices: a bound from the dual of that linear program.

    Any prices of a device's time (they sum to one) and of its memory bound the load from below: each class pays at
    least what it costs where it is cheapest. The prices follow the demand by multiplicative weights (Arora, Hazan and
    Kale, "The multiplicative weights update method", 2012), and the best bound on the way counts.

    Parameters
    ----------
    ms, size, memory
        As :func:`class_costs` gives them.
    """
    columns = np.concatenate([ms, np.broadcast_to(memory, (1, len(memory)))])
    _, first, number = np.unique(columns, axis=1, return_index=True, return_counts=True)  # alike devices are one
    total = float(size.sum())
    if total == 0:
        return _fluid(ms[:, first], size, number.astype(np.float64), np.full(len(first), np.inf))
    return _fluid(ms[:, first], size / total, number.astype(np.float64), number * memory[first] / total)


@njit(cache=True, nogil=True)
def _fluid(ms: Floats, share: Floats, number: Floats, room: Floats) -> float:
    """``room`` is what all devices of a group hold, as a share of all bytes."""
    groups = len(number)
    weight = number / number.sum()
    toll = np.zeros(groups)  # of all bytes, in milliseconds
    best = 0.0
    for step in range(1, _FLUID_STEPS + 1):
        load, held = np.zeros(groups), np.zeros(groups)
        value = 0.0
        for c in range(len(ms)):
            cheapest, where = np.inf, 0
            for k in range(groups):
                price = weight[k] / number[k] * ms[c, k] + toll[k] * share[c] if np.isfinite(ms[c, k]) else np.inf
                if price < cheapest:
                    cheapest, where = price, k
            value += cheapest
            load[where] += ms[c, where] / number[where]
            held[where] += share[c]
        for k in range(groups):
            if np.isfinite(room[k]):
                value -= toll[k] * room[k]
        best = max(best, value)
        scale = load.max()
        if scale <= 0:
            break
        pace = 1 / np.sqrt(step)
        for k in range(groups):
            weight[k] *= np.exp(pace * load[k] / scale)
            if np.isfinite(room[k]):
                toll[k] = max(0.0, toll[k] + pace * scale * (held[k] - room[k]) / room[k])
        weight /= weight.sum()
    return best * (1 - 1e-12)  # what rounding may have added
