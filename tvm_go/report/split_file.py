"""Read a split that `tvm-go place` wrote: which device holds which op."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tvm_go.errors import PlanError
from tvm_go.graph import Int32
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.split_scores import HOST
from tvm_go.simulate.workload import Workload


def is_split(data: Any) -> bool:
    """Whether a JSON value looks like a split."""
    return isinstance(data, dict) and "fpgas" in data and "cpus" in data


def read_split(path: Path, workload: Workload, machine: Machine) -> Int32:
    """Device of each op: int32 [N].

    Raises
    ------
    PlanError
        If the file is no split, or not one of this graph on this machine.
    """
    again = "write it again with `tvm-go place`, with this graph and machine"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        held = {side: [list(one["nodes"]) for one in data[side]] for side in ("fpgas", "cpus")}
    except OSError as error:
        raise PlanError(f"cannot read the split {path} ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{path} is no split ({error!r}): {again}") from error
    sides = ["cpus" if one.kind == HOST else "fpgas" for one in machine.devices]
    for side, nodes in held.items():
        if len(nodes) != sides.count(side):
            raise PlanError(
                f"{path} is for {len(nodes)} devices in '{side}' and {machine.name} has {sides.count(side)}: {again}"
            )
    place: dict[Any, int] = {op_id: op for op, op_id in enumerate(workload.op_ids)}
    device = np.full(workload.num_ops, -1, dtype=np.int32)
    for number, side in enumerate(sides):
        for op_id in held[side].pop(0):
            if not isinstance(op_id, str | int) or op_id not in place:
                raise PlanError(f"{path} names op {op_id!r}, which {workload.name} does not have: {again}")
            device[place[op_id]] = number
    if (device < 0).any():
        missing = workload.op_ids[int(np.argmin(device))]
        raise PlanError(f"{path} places op {missing!r} of {workload.name} nowhere: {again}")
    return device
