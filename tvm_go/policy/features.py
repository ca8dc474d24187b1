"""What the policy sees of a workload on a machine: arrays of logarithms and ratios, no units and no names."""

from __future__ import annotations

import numpy as np

from tvm_go.arrays import sums
from tvm_go.by_name import check_name
from tvm_go.errors import UnsupportedModelError
from tvm_go.policy.depth import depth_of, progress
from tvm_go.policy.draft import Draft, draft_features, no_draft
from tvm_go.policy.inputs import PAIR_FEATURES, Bools, Float32, GraphInput
from tvm_go.policy.moves import class_sequences
from tvm_go.simulate import OBJECTIVES, Machine, Workload
from tvm_go.simulate.need import bytes_at_peak
from tvm_go.simulate.workload import Floats

_SLOWEST = 1e4  # times as slow as the quickest device: more than that is as slow
_FAR = 3.0  # shares of a device: what lies further away from its own is as far


def graph_input(
    workload: Workload, machine: Machine, objective: str = "concurrent", draft: Draft | None = None
) -> GraphInput:
    """Describe a workload on a machine, near linear in ops, edges, and ops times devices.

    Parameters
    ----------
    objective : str
        What will be asked for, see `tvm_go.simulate.objectives`; the policy is told.
    draft : Draft, optional
        A placement to improve on.

    Raises
    ------
    UnsupportedModelError
        If the graph is empty, or an op or a colocation class runs on no device of the machine.
    UsageError
        If the objective is unknown.
    PlanError
        If the draft is not legal.
    """
    check_name(OBJECTIVES, objective, "objective")
    if not workload.num_ops:
        raise UnsupportedModelError(f"{workload.name}: the graph is empty; there is nothing to place")
    op_ms = machine.op_ms(workload)
    runs = np.isfinite(op_ms)
    supported = _allsums(workload, runs)
    nowhere = np.flatnonzero(~supported.any(axis=1))
    if len(nowhere):
        first = int(np.argmax(workload.colocation == nowhere[0]))
        raise UnsupportedModelError(
            f"{workload.name}: no device of {machine.name} runs all ops that share a device with op "
            f"{workload.op_ids[first]}; split that colocation class, or add a device"
        )
    best_ms = op_ms.min(axis=1)
    own_ms = np.where(runs & (op_ms > 0), op_ms, 1.0)
    ratio = own_ms / np.maximum(best_ms[:, None], own_ms / _SLOWEST)
    slower = np.where(runs & (op_ms > 0), np.log(ratio), 0.0) / 2
    need_bytes = bytes_at_peak(workload)
    link_ms = _mean_link(machine)
    travel_ms = link_ms[0] + workload.output_bytes * link_ms[1]
    room = machine.memory_bytes / max(float(need_bytes.sum()), 1e-300)
    if draft is None:
        of_op, of_pair = no_draft(*op_ms.shape)
        home = np.full(workload.num_classes, -1)
    else:
        home = draft.device[workload.class_first].astype(np.int64)
        of_op, of_pair = draft_features(workload, machine, objective, draft)
    return GraphInput(
        name=workload.name,
        op_features=np.hstack([_op_features(workload, best_ms, travel_ms, slower, runs), of_op]),
        op_type=np.zeros(workload.num_ops, dtype=np.int64),
        device_features=_device_features(machine, workload, op_ms, best_ms, room),
        pair_features=_pair_features(workload, op_ms, best_ms, need_bytes, room, slower, of_pair),
        graph_features=_graph_features(workload, machine, objective, best_ms, travel_ms, room),
        edge_src=workload.edge_src,
        edge_dst=workload.edge_dst,
        colocation=workload.colocation,
        supported=supported,
        op_share=_share(best_ms),
        byte_share=_share(need_bytes),
        travel=np.minimum(travel_ms / max(float(best_ms.mean()), 1e-300), 1e6).astype(np.float32),
        room=room.astype(np.float32),
        draft=home,
        sequences=class_sequences(workload),
    )


def _op_features(workload: Workload, best_ms: Floats, travel_ms: Floats, slower: Floats, runs: Bools) -> Float32:
    count = workload.num_ops
    depth = depth_of(workload.edge_src, workload.edge_dst, best_ms)
    critical_ms = max(float((depth.before_ms + depth.after_ms).max()), 1e-300)
    class_size = np.bincount(workload.colocation)[workload.colocation]
    columns = [
        _log_of_mean(best_ms, best_ms),
        best_ms > 0,
        _log_of_mean(workload.resident_bytes, workload.resident_bytes),
        _log_of_mean(workload.output_bytes, workload.output_bytes),
        _log_of_mean(travel_ms, best_ms),
        np.log1p(np.bincount(workload.edge_dst, minlength=count)),
        np.log1p(np.bincount(workload.edge_src, minlength=count)),
        depth.level / (depth.level.max() + 1),
        depth.height / (depth.height.max() + 1),
        depth.before_ms / critical_ms,
        depth.after_ms / critical_ms,
        progress(best_ms, depth.level),
        progress(workload.resident_bytes, depth.level),
        np.log1p(class_size) - np.log(2),
        slower.sum(axis=1) / runs.sum(axis=1),
        slower.max(axis=1),
        runs.mean(axis=1),
    ]
    return np.column_stack(columns).astype(np.float32)


def _device_features(machine: Machine, workload: Workload, op_ms: Floats, best_ms: Floats, room: Floats) -> Float32:
    count = machine.num_devices
    runs = np.isfinite(op_ms)
    others = ~np.eye(count, dtype=np.bool_)
    mean_ms = max(float(best_ms.mean()), 1e-300)
    tensor_ms = machine.latency_ms + float(workload.output_bytes.mean()) / machine.bytes_per_ms
    limited = np.isfinite(room)
    held = np.where(limited, room, 1.0)
    away = [
        _log_ratio((times * others).sum(axis=axis) / max(count - 1, 1), mean_ms)
        for times in (tensor_ms, machine.latency_ms)
        for axis in (0, 1)
    ]
    columns = [
        np.arange(count) / max(count - 1, 1) - 0.5,
        np.full(count, np.log(count) / 4),
        _work_share(op_ms, best_ms) * count - 1,
        runs.mean(axis=0),
        ~limited,
        np.clip(np.log(np.maximum(held, 1e-6)), -6, 3) / 3,
        np.clip(np.log(np.maximum(held * count, 1e-6)), -6, 6) / 3,
        *away,
        np.full(count, float(machine.overlap)),
    ]
    return np.column_stack(columns).astype(np.float32)


def _pair_features(
    workload: Workload,
    op_ms: Floats,
    best_ms: Floats,
    need_bytes: Floats,
    room: Floats,
    slower: Floats,
    of_draft: Float32,
) -> Float32:
    """float32 [N, D, G], filled column by column: all of it in float64 would be the largest array of all."""
    label, count = workload.colocation, workload.num_classes
    level = depth_of(workload.edge_src, workload.edge_dst, best_ms).level
    first_level = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first_level, label, level)
    class_ms, class_bytes = (sums(label, weights, count) for weights in (best_ms, need_bytes))
    work = _work_share(op_ms, best_ms)
    held = np.where(np.isfinite(room), np.minimum(room, 1.0), 1.0)
    order = np.arange(count)
    result = np.empty((*op_ms.shape, PAIR_FEATURES), dtype=np.float32)
    result[..., 0] = slower
    result[..., 1] = np.isfinite(op_ms)
    result[..., 2] = _shares_away(progress(class_ms, first_level), work)[label]
    result[..., 3] = _shares_away(progress(class_ms, order), work)[label]
    result[..., 4] = _shares_away(progress(class_bytes, order), held / max(float(held.sum()), 1e-300))[label]
    result[..., 5:] = of_draft
    return result


def _graph_features(
    workload: Workload, machine: Machine, objective: str, best_ms: Floats, travel_ms: Floats, room: Floats
) -> Float32:
    numbers = [
        np.log(workload.num_ops) / 10,
        np.log1p(workload.num_edges / workload.num_ops),
        np.log(machine.num_devices) / 4,
        float(_log_ratio(travel_ms.mean(), max(float(best_ms.mean()), 1e-300))),
        float(np.log(np.clip(room.sum(), 1e-3, 20))) / 3,
    ]
    return np.array([*numbers, *(objective == other for other in OBJECTIVES)], dtype=np.float32)


def _shares_away(position: Floats, share: Floats) -> Floats:
    """How far positions in (0, 1) lie from the middle of each device's share: float64 [C, D], within `_FAR`."""
    middle = np.cumsum(share) - share / 2
    return np.clip((position[:, None] - middle) / np.maximum(share, 1e-9), -_FAR, _FAR)


def _work_share(op_ms: Floats, best_ms: Floats) -> Floats:
    """Part of the work that each device could take if all were busy equally long: float64 [D], sums up to 1."""
    runs = np.isfinite(op_ms)
    own_ms, least_ms = np.where(runs, op_ms, 0.0).sum(axis=0), (runs * best_ms[:, None]).sum(axis=0)
    some = runs.any(axis=0)
    speed = np.where(own_ms > 0, least_ms / np.maximum(own_ms, 1e-300), some)
    if not speed.any():  # what takes time somewhere takes none elsewhere
        return np.asarray(some / some.sum())
    return np.asarray(speed / speed.sum())


def _allsums(workload: Workload, runs: Bools) -> Bools:
    misses = [np.bincount(workload.colocation, weights=~column, minlength=workload.num_classes) for column in runs.T]
    return np.stack(misses, axis=1) == 0


def _mean_link(machine: Machine) -> tuple[float, float]:
    """Milliseconds of a transfer and of a byte, mean over pairs of devices; 0 if there is only one device."""
    others = ~np.eye(machine.num_devices, dtype=np.bool_)
    if not others.any():
        return 0.0, 0.0
    return float(machine.latency_ms[others].mean()), float((1 / machine.bytes_per_ms[others]).mean())


def _log_of_mean(values: Floats, reference: Floats) -> Floats:
    """Logarithm relative to the mean of what is positive in the reference; takes 0."""
    positive = reference[reference > 0]
    return _log_ratio(values, float(positive.mean()) if len(positive) else 1.0)


def _log_ratio(values: Floats, reference: float) -> Floats:
    """0 where nothing is, 1 where it is the reference; a thousandth of that is the smallest unit."""
    return np.log1p(np.minimum(values / reference, 1e6) * 1e3) / np.log1p(1e3)


def _share(values: Floats) -> Float32:
    total = float(values.sum())
    return (values / total if total else np.full(len(values), 1 / len(values))).astype(np.float32)
