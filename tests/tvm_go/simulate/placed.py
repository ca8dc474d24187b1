"""Small random placements for hypothesis; all numbers are whole, so that sums are exact and ties occur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tvm_go.graph import Int32
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.workload import Floats


@dataclass(frozen=True)
class Placed:
    """A workload on a machine, with a placement [N] and distinct priorities [N]."""

    workload: Workload
    machine: Machine
    device: Int32
    priority: Floats


@st.composite
def placed(draw: st.DrawFn, max_ops: int = 9, max_devices: int = 3) -> Placed:
    """Each device is of a kind of its own."""
    num_ops = draw(st.integers(1, max_ops))
    num_devices = draw(st.integers(1, max_devices))
    producers = [draw(st.sets(st.integers(0, op - 1), max_size=3)) if op else set() for op in range(num_ops)]

    def whole(most: int, *shape: int) -> Floats:
        size = int(np.prod(shape))
        values = draw(st.lists(st.integers(0, most), min_size=size, max_size=size))
        return np.array(values, dtype=np.float64).reshape(shape)

    kinds = tuple(f"kind{i}" for i in range(num_devices))
    workload = Workload.of(
        "small",
        kinds,
        whole(4, num_ops, num_devices),
        np.array([(u, v) for v, sources in enumerate(producers) for u in sorted(sources)]).reshape(-1, 2),
        output_bytes=whole(4, num_ops),
        resident_bytes=whole(4, num_ops),
    )
    own = np.eye(num_devices, dtype=np.bool_)
    machine = Machine(
        "small",
        tuple(Device(kind, kind) for kind in kinds),
        bytes_per_ms=np.where(own, np.inf, 2.0 ** (whole(2, num_devices, num_devices) - 1)),
        latency_ms=np.where(own, 0.0, whole(1, num_devices, num_devices)),
        link=np.where(own, -1, whole(3, num_devices, num_devices) - 1).astype(np.int32),
        overlap=draw(st.booleans()),
    )
    device = whole(num_devices - 1, num_ops).astype(np.int32)
    priority = np.array(draw(st.permutations(range(num_ops))), dtype=np.float64)
    return Placed(workload, machine, device, priority)
