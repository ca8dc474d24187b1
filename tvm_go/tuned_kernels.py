"""Kernels whose schedules are tuned: those that were before, and those of a plan that may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import tvm

from cost_model.kernel_tuning import TunableKernel, isa_of
from tuning_logs.shipped import lowerings_from, shipped_lowerings
from tvm_go.graph import Int32
from tvm_go.lowering import Lowering
from tvm_go.model import Model


def tuned_lowerings(
    target: tvm.target.Target, *, shipped: bool, extra: str | Path | None
) -> dict[str, tuple[Lowering, ...]]:
    """Lowerings that were tuned before for such a CPU, by kernel key: those of a user's file first.

    Raises
    ------
    LogError
        If the file cannot be read, or its records are for another CPU generation.
    """
    found = shipped_lowerings(isa_of(target)) if shipped else {}
    if extra is not None:
        found |= lowerings_from(extra, target=str(target), isa_of=isa_of)
    return found


def tunable_kernels(model: Model, kernel: Int32, keys: Sequence[str]) -> list[TunableKernel]:
    """The kernels of a partition that take time, with how often each occurs."""
    counts = Counter(key for key in keys if key)
    return [
        TunableKernel(key, one, model.flow, model.graph, counts[key])
        for key, one in model.kernels_of(kernel, keys).items()
    ]
