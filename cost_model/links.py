"""What lies between kernels on several devices: copies from device to device, and what any kernel takes at least."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from cost_model.link_times import FEW, MANY, SIZES, copy_name, measure_link_times, row_name
from cost_model.provenance import versions
from cost_model.rpc import RpcConnection
from cost_model.served_device import ServedDevice
from relay_passes.target_set import TargetSet
from tuning_logs import KernelRecord, TuningLog

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Links:
    """Costs between kernels on D devices.

    Attributes
    ----------
    latency_ms : float64 [D, D]
        What a copy takes however small it is; ``inf`` where TVM copies nothing, 0 on the diagonal.
    bytes_per_ms : float64 [D, D]
        ``inf`` on the diagonal.
    launch_ms : float64 [D]
        What one more kernel in a row takes at least.
    """

    latency_ms: Floats
    bytes_per_ms: Floats
    launch_ms: Floats

    def copy_ms(self, source: NDArray[np.integer], target: NDArray[np.integer], num_bytes: Floats) -> Floats:
        """Milliseconds of copies: float64 [C]."""
        return self.latency_ms[source, target] + num_bytes / self.bytes_per_ms[source, target]

    @staticmethod
    def of(names: Sequence[str], ms: Mapping[str, float]) -> Links:
        """Links of devices from times by name (`cost_model.link_times`)."""
        count = len(names)
        latency_ms, bytes_per_ms = np.full((count, count), np.inf), np.full((count, count), np.inf)
        np.fill_diagonal(latency_ms, 0.0)
        for i, source in enumerate(names):
            for j, target in enumerate(names):
                points = [(size, ms[name]) for size in SIZES if (name := copy_name(source, target, size)) in ms]
                if points:
                    latency_ms[i, j], bytes_per_ms[i, j] = line_through(points)
        rows = [ms[row_name(name, MANY)] - ms[row_name(name, FEW)] for name in names]
        return Links(latency_ms, bytes_per_ms, np.maximum(np.array(rows), 0.0) / (MANY - FEW))


def links_of(targets: TargetSet, connection: RpcConnection, log: TuningLog, served: ServedDevice) -> Links:
    """The links of a target set: from the log, else measured and logged.

    They stand there as kernels without a structure, one for each copy and row, under the target set.

    Raises
    ------
    MeasureError
        They cannot be measured.
    LogError
        The log cannot be written.
    """
    wanted = [copy_name(targets.names[0], name, size) for name in targets.names[1:] for size in SIZES]
    wanted += [copy_name(name, targets.names[0], size) for name in targets.names[1:] for size in SIZES]
    wanted += [row_name(name, count) for name in targets.names for count in (FEW, MANY)]
    known = {name: log.kernels(_key(name), targets.text, device_kind=served.kind).get("te") for name in wanted}
    ms = {name: record.median_ms for name, record in known.items() if record is not None and record.succeeded}
    if len(ms) < len(wanted):
        for name, times_ms in measure_link_times(targets, connection).items():
            ms[name] = statistics.median(times_ms)
            log.append(
                KernelRecord(
                    key=_key(name),
                    target=targets.text,
                    device_kind=served.kind,
                    host_cpu=served.model,
                    versions=versions(),
                    median_ms=ms[name],
                    times_ms=times_ms,
                    numerics="unchecked",
                    max_error=float("inf"),
                    error_kind=None,
                    error_msg="",
                    build_s=0.0,
                    run_s=0.0,
                    ops=name,
                    workload="+".join(targets.names),
                )
            )
    return Links.of(targets.names, ms)


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Latency in ms and bytes per ms that fit (bytes, ms) best, relative errors squared; neither is negative."""
    size, ms = np.array(points, dtype=np.float64).T
    (latency_ms, ms_per_byte), _ = nnls(np.stack([1 / ms, size / ms], axis=1), np.ones(len(ms)))
    return float(latency_ms), float(1 / ms_per_byte) if ms_per_byte > 0 else np.inf


def _key(name: str) -> str:
    """Where a time stands in a log: 32 hex digits."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]
