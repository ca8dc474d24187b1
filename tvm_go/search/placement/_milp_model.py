"""Throughput and latency of a split over a host and accelerators as mixed-integer programs.

After Tarnawski et al., "Efficient Algorithms for Device Placement of DNN Graph Operators", NeurIPS 2020, section 5 and
appendix: one binary per colocation class and device, and per tensor and accelerator how much of it comes in and goes
out. Accelerators that are alike are ordered by their work, so that no solution is found twice under other names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvm_go.graph import Int32, Int64
from tvm_go.search.placement._linear import Columns, Program
from tvm_go.search.placement.bounds import class_costs
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.split_scores import SplitCosts
from tvm_go.simulate.workload import Floats


@dataclass(frozen=True, eq=False)
class Model:
    """A program and where its decisions stand.

    Attributes
    ----------
    objective : int
        Column of the value to minimise.
    on : int64 [C, H]
        Columns that are 1 where a class sits on a device.
    device : int32 [H]
        The machine's device of each; hosts count as one.
    same_as_last : bool [H]
        Whether a device is like the one before it.
    class_ms : float64 [C, H]
        Work of a class where it can be, else 0.
    """

    program: Program
    objective: int
    on: Columns
    device: Int64
    same_as_last: np.ndarray
    class_ms: Floats

    def start(self, class_device: Int32) -> tuple[Columns, Floats]:
        """Columns and values that stand for a placement; alike devices change their names as the program wants it."""
        place = np.searchsorted(self.device, class_device)
        chosen = np.eye(len(self.device), dtype=np.bool_)[place]  # [C, H]
        work = (chosen * self.class_ms).sum(axis=0)
        group = np.cumsum(~self.same_as_last)
        order = np.lexsort((-work, group))
        return self.on.reshape(-1), chosen[:, order].astype(np.float64).reshape(-1)

    def class_device(self, values: Floats) -> Int32:
        """Device of each class in a solution: int32 [C]."""
        return self.device[np.argmax(values[self.on], axis=1)].astype(np.int32)


@dataclass(frozen=True, eq=False)
class _Parts:
    """What both objectives share: where classes sit, and what crosses between accelerators and the host."""

    program: Program
    costs: SplitCosts
    on: Columns  # [C, H]
    device: Int64  # [H]
    accelerator: Int64  # [A] places within H
    tensor: Int64  # [P] the op that makes it
    into: Columns  # [P, A]
    out: Columns  # [P, A]
    class_ms: Floats  # [C, H]
    same_as_last: np.ndarray


def throughput_model(workload: Workload, machine: Machine, *, contiguous: bool) -> Model:
    """The largest load of a device; ``contiguous``: no path leaves an accelerator and comes back."""
    parts = _placement(workload, machine)
    program, columns = parts.program, np.arange(len(parts.device))
    largest = program.add_columns(1)
    for place in columns.tolist():
        program.at_most(0.0, (1,), *_load(parts, place), (largest, -1.0))
    if contiguous:
        _add_contiguity(parts, workload)
    return Model(program, int(largest[0]), parts.on, parts.device, parts.same_as_last, parts.class_ms)


def latency_model(workload: Workload, machine: Machine, horizon_ms: float) -> Model:
    """When the last step ends, among placements that take at most ``horizon_ms``.

    Two sets of times: ``done`` follows the steps of accelerators by big-M rows; ``path`` follows each single chain of
    ops and its transfers, which is weaker when all is decided and stronger when little is.
    """
    parts = _placement(workload, machine)
    program, on, label = parts.program, parts.on, workload.colocation
    accelerators, count = len(parts.accelerator), workload.num_ops
    host = int(np.flatnonzero(parts.costs.is_host[parts.device])[0])
    source, reader = workload.edge_src, workload.edge_dst
    last = program.add_columns(1, upper=horizon_ms)
    done = program.add_columns(count, upper=horizon_ms)
    begin = program.add_columns(accelerators, upper=horizon_ms)
    end = program.add_columns(accelerators, upper=horizon_ms)
    host_ms = np.where(
        np.isfinite(parts.costs.op_ms[:, parts.device[host]]), parts.costs.op_ms[:, parts.device[host]], 0
    )
    program.at_most(0.0, (count,), (done, 1.0), (np.broadcast_to(last, count), -1.0))
    program.at_most(0.0, (count,), (on[label, host], host_ms), (done, -1.0))
    program.at_most(
        0.0, (len(source),), (done[source], 1.0), (on[label[reader], host], host_ms[reader]), (done[reader], -1.0)
    )
    for a, place in enumerate(parts.accelerator.tolist()):
        program.at_most(0.0, (1,), *_load(parts, place), (begin[a : a + 1], 1.0), (end[a : a + 1], -1.0))
        program.at_most(
            horizon_ms, (count,), (np.broadcast_to(end[a], count), 1.0), (on[label, place], horizon_ms), (done, -1.0)
        )
        program.at_most(
            horizon_ms,
            (len(parts.tensor),),
            (done[parts.tensor], 1.0),
            (parts.into[:, a], horizon_ms),
            (np.broadcast_to(begin[a], len(parts.tensor)), -1.0),
        )
    program.at_most(0.0, (accelerators,), (end, 1.0), (np.broadcast_to(last, accelerators), -1.0))
    _add_paths(parts, workload, last, horizon_ms)
    return Model(program, int(last[0]), on, parts.device, parts.same_as_last, parts.class_ms)


def _placement(workload: Workload, machine: Machine) -> _Parts:
    costs = SplitCosts.of(workload, machine)
    class_ms, size, _ = class_costs(workload, machine, hosts_are_one=True)
    device = np.unique(costs.host_of).astype(np.int64)
    class_ms = class_ms[:, device]
    can = np.isfinite(class_ms)
    class_ms = np.where(can, class_ms, 0.0)
    accelerator = np.flatnonzero(~costs.is_host[device])
    program = Program()
    on = program.add_columns(workload.num_classes, len(device), upper=can, integer=True)
    program.at_most(1.0, (len(on),), (on, 1.0))
    program.at_most(-1.0, (len(on),), (on, -1.0))
    limited = np.flatnonzero(np.isfinite(costs.memory_bytes[device]))
    unit = max(float(size.max(initial=0.0)), 1.0)  # rows of like magnitude keep the solver exact
    program.at_most(costs.memory_bytes[device][limited] / unit, (len(limited),), (on.T[limited], size / unit))

    label = workload.colocation
    pair = np.unique(np.stack([workload.edge_src, label[workload.edge_dst]], axis=1), axis=0)
    pair = pair[label[pair[:, 0]] != pair[:, 1]]
    tensor, number = np.unique(pair[:, 0], return_inverse=True)
    into = program.add_columns(len(tensor), len(accelerator), upper=1.0)
    out = program.add_columns(len(tensor), len(accelerator), upper=1.0)
    maker, reader = on[label[pair[:, 0]]][:, accelerator], on[pair[:, 1]][:, accelerator]
    shape = (len(pair), len(accelerator))
    program.at_most(0.0, shape, (reader, 1.0), (maker, -1.0), (into[number], -1.0))
    program.at_most(0.0, shape, (maker, 1.0), (reader, -1.0), (out[number], -1.0))

    same_as_last = np.array([i > 0 and _alike(costs, machine, device[i - 1], device[i]) for i in range(len(device))])
    for place in np.flatnonzero(same_as_last).tolist():
        work = class_ms[:, place]
        program.at_most(0.0, (1,), (on[None, :, place], work), (on[None, :, place - 1], -work))
    return _Parts(program, costs, on, device, accelerator, tensor.astype(np.int64), into, out, class_ms, same_as_last)


def _alike(costs: SplitCosts, machine: Machine, one: int, other: int) -> bool:
    tables = (costs.op_ms, costs.receive_ms, costs.send_ms)
    return bool(
        costs.is_host[one] == costs.is_host[other]
        and costs.memory_bytes[one] == costs.memory_bytes[other]
        and all(np.array_equal(table[:, one], table[:, other]) for table in tables)
    )


def _load(parts: _Parts, place: int) -> list[tuple[Columns, Floats]]:
    """Terms of what a device computes, receives and sends."""
    terms = [(parts.on[None, :, place], parts.class_ms[:, place])]
    for a in np.flatnonzero(parts.accelerator == place).tolist():
        device = int(parts.device[place])
        terms.append((parts.into[None, :, a], parts.costs.receive_ms[parts.tensor, device]))
        terms.append((parts.out[None, :, a], parts.costs.send_ms[parts.tensor, device]))
    return terms


def _add_contiguity(parts: _Parts, workload: Workload) -> None:
    """``reaches`` is 1 for ops from which a path leads to the accelerator: none may lie behind one that left it."""
    program, label = parts.program, workload.colocation
    count, source, reader = workload.num_ops, workload.edge_src, workload.edge_dst
    for place in parts.accelerator.tolist():
        reaches = program.add_columns(count, upper=1.0)
        program.at_most(0.0, (count,), (parts.on[label, place], 1.0), (reaches, -1.0))
        program.at_most(0.0, (len(source),), (reaches[reader], 1.0), (reaches[source], -1.0))
        program.at_most(
            1.0,
            (len(source),),
            (reaches[reader], 1.0),
            (parts.on[label[reader], place], -1.0),
            (parts.on[label[source], place], 1.0),
        )


def _add_paths(parts: _Parts, workload: Workload, last: Columns, horizon_ms: float) -> None:
    """Along a chain of ops each takes its time, and a tensor that leaves or enters an accelerator its own."""
    program, on, label = parts.program, parts.on, workload.colocation
    source, reader = workload.edge_src, workload.edge_dst
    crossing = label[source] != label[reader]
    path = program.add_columns(workload.num_ops, upper=horizon_ms)
    op_ms = parts.costs.op_ms[:, parts.device]
    op_ms = np.where(np.isfinite(op_ms), op_ms, 0.0)
    program.at_most(0.0, (workload.num_ops,), (path, 1.0), (np.broadcast_to(last, workload.num_ops), -1.0))
    program.at_most(0.0, (workload.num_ops,), (on[label], op_ms), (path, -1.0))
    leaves = program.add_columns(len(source), upper=crossing.astype(np.float64))
    enters = program.add_columns(len(source), upper=crossing.astype(np.float64))
    accelerators = parts.device[parts.accelerator]
    send_ms = parts.costs.send_ms[source][:, accelerators].min(axis=1, initial=np.inf)
    receive_ms = parts.costs.receive_ms[source][:, accelerators].min(axis=1, initial=np.inf)
    for place in parts.accelerator.tolist():
        here, there = on[label[source], place], on[label[reader], place]
        program.at_most(0.0, (len(source),), (here, crossing), (there, -1.0 * crossing), (leaves, -1.0))
        program.at_most(0.0, (len(source),), (there, crossing), (here, -1.0 * crossing), (enters, -1.0))
    program.at_most(
        0.0,
        (len(source),),
        (path[source], 1.0),
        (on[label[reader]], op_ms[reader]),
        (leaves, np.where(np.isfinite(send_ms), send_ms, 0.0)),
        (enters, np.where(np.isfinite(receive_ms), receive_ms, 0.0)),
        (path[reader], -1.0),
    )
