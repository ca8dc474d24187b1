"""Roofline: what an op takes on a device, from its arithmetic and from the bytes that it moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.simulate.workload import Floats

EFFICIENCY = 0.5  # what kernels of a framework reach of a data sheet's figures; one number, so that it is easy to doubt


@dataclass(frozen=True)
class DeviceSpec:
    """A kind of device by its data sheet.

    Attributes
    ----------
    kind : str
        Names the column of a workload's costs.
    flops_per_ms, bytes_per_ms : float
        Peak arithmetic in single precision, and bandwidth of its memory.
    launch_ms : float
        What starting any op takes.
    memory_bytes : float
    """

    kind: str
    flops_per_ms: float
    bytes_per_ms: float
    launch_ms: float
    memory_bytes: float


def roofline_ms(flops: Floats, moved_bytes: Floats, specs: Sequence[DeviceSpec]) -> Floats:
    """Milliseconds of each op on each kind of device: float64 [N, K].

    The larger of ``flops / peak`` and ``bytes / bandwidth``, each at `EFFICIENCY`, and the launch (Williams, Waterman
    and Patterson, "Roofline: an insightful visual performance model", CACM 2009).

    Parameters
    ----------
    flops, moved_bytes : float64 [N]
        Floating point operations of each op, and what it reads and writes.

    Raises
    ------
    UsageError
        If there is no device, or two have the same kind.
    """
    kinds = [spec.kind for spec in specs]
    if not kinds or len(set(kinds)) < len(kinds):
        raise UsageError(f"device kinds are {kinds}; give at least one, and each kind once")
    columns = [
        np.maximum(flops / (EFFICIENCY * spec.flops_per_ms), moved_bytes / (EFFICIENCY * spec.bytes_per_ms))
        + spec.launch_ms
        for spec in specs
    ]
    return np.stack(columns, axis=1)
