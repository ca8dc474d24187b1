"""The scene of a placement: every op a kernel of its own, run by the simulator on the devices of a machine."""

from __future__ import annotations

import re

import numpy as np

from tvm_go.graph import Int32, vocabulary
from tvm_go.report import blocks
from tvm_go.report.changes import KINDS, Comparison
from tvm_go.report.scene import Floats, Run, Scene, Structure
from tvm_go.report.words import amount, milliseconds
from tvm_go.simulate.execution import Execution, execute
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.workload import Workload

_NUMBER = re.compile(r"[\W_]*\d+$")
_CURVE_POINTS = 4000  # of a device's memory over time: more than a screen has columns


def split_scene(
    workload: Workload, machine: Machine, device: Int32, executor: str, against: Int32 | None = None
) -> Scene:
    """What the page shows of a placement.

    Parameters
    ----------
    device, against : int32 [N]
        Device of each op, and in another placement to compare with.
    executor : str
        As in :func:`tvm_go.simulate.execution.execute`.

    Raises
    ------
    PlanError
        If an op cannot run on its device, or a colocation class is split.
    """
    execution = execute(workload, machine, executor, device)
    structure = _structure(workload)
    kind = structure.op_name
    return Scene(
        title=workload.name,
        facts=tuple(_facts(workload, machine, execution, executor)),
        structure=structure,
        run=_run(workload, machine, device, execution),
        levels=blocks.levels(workload.num_ops, workload.edge_src, workload.edge_dst, kind),
        comparison=None if against is None else _comparison(workload, machine, device, against),
    )


def _structure(workload: Workload) -> Structure:
    count = workload.num_ops
    names, number = vocabulary([_NUMBER.sub("", str(one)) or "op" for one in workload.op_ids])
    starts = np.arange(count + 1, dtype=np.int32)
    made = workload.output_bytes
    read = np.bincount(workload.edge_dst, weights=made[workload.edge_src], minlength=count)
    return Structure(
        names=names,
        attrs=tuple(map(str, workload.op_ids)),
        forms=("",),
        types=("",),
        op_start=starts,
        anchor=starts[:-1].copy(),
        op_name=number,
        op_attrs=starts[:-1].copy(),
        op_form=np.zeros(count, dtype=np.int32),
        op_flops=np.full(count, np.nan),
        op_bytes=read + made,
        kernel_bytes=read + made,
        value_op=starts[:-1].copy(),
        value_type=np.zeros(count, dtype=np.int32),
        value_bytes=made,
        use_start=workload.producers[0].astype(np.int32),
        use_value=workload.edge_src,
        placement=True,
    )


def _run(workload: Workload, machine: Machine, device: Int32, execution: Execution) -> Run:
    moved = execution.transfers
    curves = [_thinned(*execution.memory_curve(number)) for number in range(machine.num_devices)]
    count = workload.num_ops
    return Run(
        devices=tuple(one.name for one in machine.devices),
        lowerings=("",),
        sources=("given",),
        device=device.astype(np.int32),
        lowering=np.zeros(count, dtype=np.int32),
        source=np.zeros(count, dtype=np.int32),
        ms=machine.op_ms(workload)[np.arange(count), device],
        start_ms=execution.start_ms,
        end_ms=execution.finish_ms,
        copy_value=moved.producer.astype(np.int32),  # each op makes the value of its number
        copy_device=moved.target.astype(np.int32),
        copy_bytes=workload.output_bytes[moved.producer],
        copy_ms=moved.finish_ms - moved.start_ms,
        copy_start_ms=moved.start_ms,
        copy_end_ms=moved.finish_ms,
        memory_device=np.repeat(np.arange(machine.num_devices, dtype=np.int32), [len(ms) for ms, _ in curves]),
        memory_ms=np.concatenate([ms for ms, _ in curves]),
        memory_bytes=np.concatenate([size for _, size in curves]),
        capacity_bytes=machine.memory_bytes,
        measured=True,
    )


def _thinned(ms: Floats, size: Floats) -> tuple[Floats, Floats]:
    """A curve of steps with few points: of each slice of time the most."""
    if len(ms) <= _CURVE_POINTS:
        return ms, size
    first = np.unique(np.searchsorted(ms, np.linspace(ms[0], ms[-1], _CURVE_POINTS, endpoint=False)))
    return ms[first], np.maximum.reduceat(size, first)


def _facts(workload: Workload, machine: Machine, execution: Execution, executor: str) -> list[tuple[str, str]]:
    what = "period" if executor == "pipeline" else "time of one run"
    busy = ", ".join(f"{part:.0%}" for part in execution.busy_fraction.tolist())
    facts = [
        ("machine", machine.name),
        (what, f"{milliseconds(execution.makespan_ms)} ms, simulated ({executor})"),
        ("ops", f"{workload.num_ops:,}"),
        ("busy", busy),
        ("copies", f"{len(execution.transfers.producer):,}"),
        ("peak memory", ", ".join(amount(size, "B") for size in execution.peak_bytes.tolist())),
    ]
    over = execution.out_of_memory
    if over:
        facts.append(("out of memory", ", ".join(machine.devices[number].name for number in over)))
    return facts


def _comparison(workload: Workload, machine: Machine, device: Int32, against: Int32) -> Comparison:
    """Ops that moved, those of one way from device to device that follow one another as one group."""
    moved = device != against
    begins = moved & np.concatenate([[True], ~moved[:-1] | (device[1:] != device[:-1]) | (against[1:] != against[:-1])])
    group = np.where(moved, np.cumsum(begins) - 1, -1).astype(np.int32)
    return Comparison(
        other_title="the other split",
        kinds=KINDS,
        change=np.where(moved, KINDS.index("moved"), 0).astype(np.int32),
        group=group,
        other_group=group,
        other_label=tuple(
            str(name) if other else "" for name, other in zip(workload.op_ids, moved.tolist(), strict=True)
        ),
        other_device=against.astype(np.int32),
        other_ms=machine.op_ms(workload)[np.arange(workload.num_ops), against],
        other_start_ms=np.full(workload.num_ops, np.nan),
    )
