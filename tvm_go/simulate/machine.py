"""Machine models: devices, their memory, and the links between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.graph import Int32
from tvm_go.simulate.workload import Floats, Workload


@dataclass(frozen=True)
class Device:
    """One device; ``kind`` says which column of a workload's costs is its own."""

    name: str
    kind: str
    memory_bytes: float = float("inf")


@dataclass(frozen=True, eq=False)
class Machine:
    """D devices and what joins them.

    Attributes
    ----------
    devices : tuple of Device
        [D]. In what the judge of dnn-partitioning scores, devices of kind ``cpu`` are the host: they pay nothing to
        communicate, and the accelerators reach one another through their memory.
    bytes_per_ms : float64 [D, D]
        Bandwidth from one device to another; ``inf`` on the diagonal.
    latency_ms : float64 [D, D]
        What a transfer takes however small it is; 0 on the diagonal.
    link : int32 [D, D]
        Transfers over the same link wait for one another; -1 where none ever waits.
    overlap : bool
        Whether transfers run beside the computing of their two devices; if not, they keep both busy.
    """

    name: str
    devices: tuple[Device, ...]
    bytes_per_ms: Floats
    latency_ms: Floats
    link: Int32
    overlap: bool = True

    def __post_init__(self) -> None:
        count = len(self.devices)
        for array in (self.bytes_per_ms, self.latency_ms, self.link):
            if array.shape != (count, count):
                raise UsageError(f"machine {self.name}: a table of links is {array.shape}, not {(count, count)}")
            array.setflags(write=False)
        if np.isnan(self.bytes_per_ms).any() or (self.bytes_per_ms <= 0).any():
            raise UsageError(f"machine {self.name}: every bandwidth must be positive")
        if np.isnan(self.latency_ms).any() or (self.latency_ms < 0).any():
            raise UsageError(f"machine {self.name}: no latency may be negative")

    @property
    def num_devices(self) -> int:
        return len(self.devices)

    @property
    def memory_bytes(self) -> Floats:
        """[D]."""
        return np.array([device.memory_bytes for device in self.devices], dtype=np.float64)

    def op_ms(self, workload: Workload) -> Floats:
        """Milliseconds of each op on each device: float64 [N, D]; ``inf`` where it cannot run.

        Raises
        ------
        UnsupportedModelError
            If the workload knows nothing of a kind, or an op runs nowhere.
        """
        kinds = [device.kind for device in self.devices]
        unknown = [kind for kind in kinds if kind not in workload.kinds]
        if unknown:
            raise UnsupportedModelError(
                f"{workload.name}: no costs for devices of kind '{unknown[0]}'; it has {', '.join(workload.kinds)}"
            )
        ms = np.ascontiguousarray(workload.op_ms[:, [workload.kinds.index(kind) for kind in kinds]])
        nowhere = np.flatnonzero(~np.isfinite(ms).any(axis=1))
        if len(nowhere):
            raise UnsupportedModelError(
                f"{workload.name}: op {workload.op_ids[int(nowhere[0])]} runs on no device of {self.name}"
            )
        return ms

    @classmethod
    def uniform(
        cls,
        name: str,
        devices: tuple[Device, ...],
        bytes_per_ms: float,
        latency_ms: float = 0.0,
        *,
        contend: bool = True,
        overlap: bool = True,
    ) -> Machine:
        """Every pair of devices has the same link of its own, one in each direction."""
        count = len(devices)
        own = np.eye(count, dtype=np.bool_)
        pairs = np.arange(count * count, dtype=np.int32).reshape(count, count)
        return cls(
            name=name,
            devices=devices,
            bytes_per_ms=np.where(own, np.inf, bytes_per_ms),
            latency_ms=np.where(own, 0.0, latency_ms),
            link=np.where(own | (not contend), -1, pairs).astype(np.int32),
            overlap=overlap,
        )
