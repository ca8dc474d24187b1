"""From the records of tuning logs to arrays: what a kernel is, where it ran, and how long it took."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cost_model.features import FEATURES, Floats, kernel_features, op_table
from cost_model.kernel_ops import KernelOps
from cost_model.structure import Structure, union
from tuning_logs import KernelRecord
from tvm_go.errors import LogError
from tvm_go.graph import Int64
from tvm_go.lowering import TE, TIR, Lowering

PROBE = "probe: "
"""Prefix of the model's name in records of kernels that tell what a device can do."""
PROBES: Mapping[str, tuple[int, int]] = {
    "launch": (1, 16), "compute": (64, 4096), "serial": (1, 65536), "cache 1": (8, 1024), "cache 2": (32, 4096),
    "cache 3": (256, 8192), "memory": (4096, 8192),
}  # fmt: skip
"""Shapes of those kernels; what they take, in milliseconds, describes a device (`cost_model.probes` makes them)."""
PROBE_STEPS = 64
"""Multiply-adds for each element of the probe ``compute``."""
LOWERINGS = (TE, TIR)
"""Lowerings that can be predicted: those without a tuned detail."""
COLUMNS: tuple[str, ...] = (*FEATURES, "is_tir", "cores", *(f"probe_{name}" for name in PROBES))
"""Columns of the rows that a regressor sees."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """R kernels, each in a lowering on a device, as a regressor sees them.

    Attributes
    ----------
    rows : float64 [R, len(COLUMNS)]
    kernels : KernelOps
        What they are taken from.
    kernel : int64 [R]
        Which of those each is.
    """

    rows: Floats
    kernels: KernelOps
    kernel: Int64


@dataclass(frozen=True, eq=False)
class Dataset(Inputs):
    """R measurements of kernels.

    Attributes
    ----------
    ms : float64 [R]
        Milliseconds; ``inf`` for a failure.
    keys : sequence of str [R]
    models : sequence of str [R]
        For which the kernel was measured first.
    targets : sequence of str [R]
    """

    ms: Floats
    keys: NDArray[np.str_]
    models: NDArray[np.str_]
    targets: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.ms)

    def take(self, which: NDArray[np.bool_]) -> Dataset:
        """Some of the measurements."""
        each = ("rows", "kernel", "ms", "keys", "models", "targets")
        return replace(self, **{name: getattr(self, name)[which] for name in each})


def dataset(records: Iterable[KernelRecord]) -> Dataset:
    """The best measurement of each kernel by each predictable lowering on each target.

    Records without a structure (of an older log) count where another record of the same kernel has one.

    Raises
    ------
    LogError
        If no record can be used.
    """
    records = list(records)
    probes = probe_times(records)
    structures: dict[str, Structure] = {}
    best: dict[tuple[str, str, str], KernelRecord] = {}
    for one in records:
        if one.structure is not None:
            structures.setdefault(one.key, one.structure)
        place = (one.key, one.target, one.lowering)
        if Lowering.from_text(one.lowering) in LOWERINGS and not one.model.startswith(PROBE):
            known = best.get(place)
            if known is None or _ms(one) < _ms(known):
                best[place] = one
    used = [one for one in best.values() if one.key in structures]
    if not used:
        raise LogError(
            f"none of {len(records)} records of kernels says what its kernel is (they are of an older tvm-go, or of "
            "tuned lowerings): `tvm-go log collect` measures kernels"
        )
    keys = list(dict.fromkeys(one.key for one in used))
    table, kernels = described([structures[key] for key in keys])
    number = {key: row for row, key in enumerate(keys)}
    devices = {place: device_row(probes, *place) for place in {(one.target, one.host_cpu) for one in used}}
    rows = [
        full_row(table[number[one.key]], Lowering.from_text(one.lowering), devices[one.target, one.host_cpu])
        for one in used
    ]
    return Dataset(
        np.array(rows),
        kernels,
        np.array([number[one.key] for one in used]),
        np.array([_ms(one) for one in used]),
        np.array([one.key for one in used]),
        np.array([one.model for one in used]),
        np.array([one.target for one in used]),
    )


def described(structures: Sequence[Structure]) -> tuple[Floats, KernelOps]:
    """Kernels that stand in a log: their features, float64 [K, len(FEATURES)], and their ops."""
    graph, kernel = union(structures)
    table = op_table(graph)
    return kernel_features(graph, kernel, table), KernelOps.of(graph, kernel, table)


def full_row(features: Floats, lowering: Lowering, device: Floats) -> Floats:
    """What a regressor sees of a kernel in a lowering on a device: float64 [len(COLUMNS)]."""
    return np.concatenate([features, [lowering == TIR], device])


def probe_times(records: Iterable[KernelRecord]) -> dict[tuple[str, str, str], float]:
    """Milliseconds of the probes among some records, by target, CPU and name."""
    return {
        (one.target, one.host_cpu, one.model.removeprefix(PROBE)): one.median_ms
        for one in records
        if one.model.startswith(PROBE)
    }


def device_row(probes: Mapping[tuple[str, str, str], float], target: str, host_cpu: str) -> Floats:
    """What describes a device: its cores, and the logarithms of what probes take on it (NaN if not measured)."""
    cores = re.search(r"-num-cores=(\d+)", target)
    found = [probes.get((target, host_cpu, name), math.nan) for name in PROBES]
    with np.errstate(invalid="ignore"):
        return np.concatenate([[float(cores[1]) if cores else math.nan], np.log2(found)])


def _ms(record: KernelRecord) -> float:
    return record.median_ms if record.succeeded else math.inf
