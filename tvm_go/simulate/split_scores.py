"""Throughput and latency of a split over a host and accelerators, as the judge of dnn-partitioning defines them.

Tarnawski et al., "Efficient Algorithms for Device Placement of DNN Graph Operators", NeurIPS 2020. A tensor moves
between an accelerator and the host's memory once per accelerator that reads it and once where it was made, however
many readers there are. The host pays nothing to communicate. All devices of kind ``cpu`` count as one: the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.workload import Floats, Workload

Bools = NDArray[np.bool_]

HOST = "cpu"
_MEMORY_SLACK = 1 + 1e-9  # the judge's


@dataclass(frozen=True, eq=False)
class SplitCosts:
    """What ops and their tensors cost on each device.

    Attributes
    ----------
    op_ms, receive_ms, send_ms : float64 [N, D]
        Computing an op; its tensor's way from the host to a device, and from a device to the host. An op takes ``inf``
        on every host but the first, so that what searches by these arrays uses that one alone.
    memory_bytes : float64 [D]
        Limit of each device, with the judge's slack.
    host_of : int32 [D]
        The device that a device counts as: the first host for every host, else itself.
    is_host : bool [D]
    """

    op_ms: Floats
    receive_ms: Floats
    send_ms: Floats
    memory_bytes: Floats
    host_of: Int32
    is_host: Bools

    @classmethod
    def of(cls, workload: Workload, machine: Machine) -> SplitCosts:
        """Costs of a workload on a machine with a host.

        Raises
        ------
        UsageError
            If the machine has no device of kind ``cpu``.
        """
        is_host = np.array([device.kind == HOST for device in machine.devices])
        if not is_host.any():
            raise UsageError(
                f"machine {machine.name} has no device of kind '{HOST}', which throughput and latency need"
            )
        host = int(np.argmax(is_host))
        moved = workload.output_bytes[:, None]
        memory_bytes = machine.memory_bytes
        memory_bytes[host] = memory_bytes[is_host].sum()
        op_ms = machine.op_ms(workload)
        op_ms[:, is_host & (np.arange(len(is_host)) != host)] = np.inf
        return cls(
            op_ms=op_ms,
            receive_ms=np.where(is_host, 0.0, machine.latency_ms[host] + moved / machine.bytes_per_ms[host]),
            send_ms=np.where(is_host, 0.0, machine.latency_ms[:, host] + moved / machine.bytes_per_ms[:, host]),
            memory_bytes=memory_bytes * _MEMORY_SLACK,
            host_of=np.where(is_host, host, np.arange(len(is_host))).astype(np.int32),
            is_host=is_host,
        )


def throughput(workload: Workload, machine: Machine, devices: Int32) -> Floats:
    """Largest load of a device: milliseconds that it computes, receives and sends for one input.

    Parameters
    ----------
    devices : int32 [B, N]
        Device of each op, for some splits.

    Returns
    -------
    float64 [B]
        ``inf`` where an op cannot run, memory does not suffice, or a colocation class is torn.
    """
    costs = SplitCosts.of(workload, machine)
    _check(machine, devices)
    return _throughput(devices, workload.resident_bytes, workload.colocation, *workload.readers, *_arrays(costs))


def latency(workload: Workload, machine: Machine, devices: Int32) -> Floats:
    """Milliseconds from the first input to the last output of one run.

    An accelerator runs all of its ops as one step: it waits for all that they read, receives, computes, sends. Ops on
    the host run as soon as what they read is done, any number at a time.

    Parameters
    ----------
    devices : int32 [B, N]
        Device of each op, for some splits.

    Returns
    -------
    float64 [B]
        ``inf`` where `throughput` is, and where an accelerator's ops wait for one another through another device.
    """
    costs = SplitCosts.of(workload, machine)
    _check(machine, devices)
    return _latency(devices, workload.resident_bytes, workload.colocation, *workload.readers, *_arrays(costs))


def _arrays(costs: SplitCosts) -> tuple[Floats, Floats, Floats, Floats, Int32, Bools]:
    return costs.op_ms, costs.receive_ms, costs.send_ms, costs.memory_bytes, costs.host_of, costs.is_host


def _check(machine: Machine, devices: Int32) -> None:
    if devices.size and not 0 <= devices.min() <= devices.max() < machine.num_devices:
        raise UsageError(
            f"devices {devices.min()} to {devices.max()} are used; {machine.name} has 0 to {machine.num_devices - 1}"
        )


@njit(cache=True, nogil=True)
def _feasible(device: Int32, resident_bytes: Floats, colocation: Int32, memory_bytes: Floats) -> bool:
    used = np.zeros(len(memory_bytes))
    of_class = np.full(len(device), -1, dtype=np.int32)
    for op in range(len(device)):
        here = device[op]
        used[here] += resident_bytes[op]
        label = colocation[op]
        if of_class[label] < 0:
            of_class[label] = here
        elif of_class[label] != here:
            return False
    return bool(np.all(used <= memory_bytes))


@njit(cache=True, nogil=True)
def _transfers(
    device: Int32, starts: Int64, readers: Int32, receive_ms: Floats, send_ms: Floats, load: Floats, seen: Int64
) -> None:
    """Add to the load of each device what it receives and sends."""
    seen[:] = -1
    for op in range(len(device)):
        here = device[op]
        leaves = False
        for i in range(starts[op], starts[op + 1]):
            there = device[readers[i]]
            if there != here:
                leaves = True
                if seen[there] != op:
                    seen[there] = op
                    load[there] += receive_ms[op, there]
        if leaves:
            load[here] += send_ms[op, here]


@njit(cache=True, nogil=True)
def _throughput(
    devices: Int32,
    resident_bytes: Floats,
    colocation: Int32,
    starts: Int64,
    readers: Int32,
    op_ms: Floats,
    receive_ms: Floats,
    send_ms: Floats,
    memory_bytes: Floats,
    host_of: Int32,
    is_host: Bools,
) -> Floats:
    values = np.full(len(devices), np.inf)
    seen = np.empty(len(memory_bytes), dtype=np.int64)
    for row in range(len(devices)):
        device = host_of[devices[row]]
        if not _feasible(device, resident_bytes, colocation, memory_bytes):
            continue
        load = np.zeros(len(memory_bytes))
        for op in range(len(device)):
            load[device[op]] += op_ms[op, device[op]]
        _transfers(device, starts, readers, receive_ms, send_ms, load, seen)
        values[row] = load.max()
    return values


@njit(cache=True, nogil=True)
def _latency(
    devices: Int32,
    resident_bytes: Floats,
    colocation: Int32,
    starts: Int64,
    readers: Int32,
    op_ms: Floats,
    receive_ms: Floats,
    send_ms: Floats,
    memory_bytes: Floats,
    host_of: Int32,
    is_host: Bools,
) -> Floats:
    values = np.full(len(devices), np.inf)
    for row in range(len(devices)):
        device = host_of[devices[row]]
        if _feasible(device, resident_bytes, colocation, memory_bytes):
            values[row] = finish_ms(device, starts, readers, op_ms, receive_ms, send_ms, is_host)
    return values


@njit(cache=True, nogil=True)
def finish_ms(
    device: Int32, starts: Int64, readers: Int32, op_ms: Floats, receive_ms: Floats, send_ms: Floats, is_host: Bools
) -> float:
    """When the last step of one split ends; ``inf`` if steps wait for one another in a circle.

    A step is an op on the host (numbered D + op) or all ops of an accelerator (numbered by the device).
    """
    num_ops, num_devices = len(device), len(is_host)
    step = np.empty(num_ops, dtype=np.int64)
    step_ms = np.zeros(num_devices + num_ops)
    first = np.full(num_devices, -1, dtype=np.int64)  # members of an accelerator's step, as a list
    following = np.empty(num_ops, dtype=np.int64)
    for op in range(num_ops):
        here = device[op]
        step[op] = num_devices + op if is_host[here] else here
        step_ms[step[op]] += op_ms[op, here]
        following[op] = first[here]
        first[here] = op
    _transfers(
        device, starts, readers, receive_ms, send_ms, step_ms[:num_devices], np.empty(num_devices, dtype=np.int64)
    )
    waiting = np.zeros(num_devices + num_ops, dtype=np.int64)
    for op in range(num_ops):
        for i in range(starts[op], starts[op + 1]):
            if step[readers[i]] != step[op]:
                waiting[step[readers[i]]] += 1
    ready = np.empty(num_devices + num_ops, dtype=np.int64)
    steps = count = 0
    for one in range(num_devices + num_ops):
        if step[one - num_devices] == one if one >= num_devices else first[one] >= 0 and not is_host[one]:
            steps += 1
            if waiting[one] == 0:
                ready[count] = one
                count += 1
    start_ms = np.zeros(num_devices + num_ops)
    last_ms = 0.0
    done = 0
    while done < count:
        now = ready[done]
        done += 1
        end_ms = start_ms[now] + step_ms[now]
        last_ms = max(last_ms, end_ms)
        op = now - num_devices if now >= num_devices else first[now]
        while op >= 0:
            for i in range(starts[op], starts[op + 1]):
                other = step[readers[i]]
                if other != now:
                    start_ms[other] = max(start_ms[other], end_ms)
                    waiting[other] -= 1
                    if waiting[other] == 0:
                        ready[count] = other
                        count += 1
            op = -1 if now >= num_devices else following[op]
    return last_ms if count == steps else np.inf
