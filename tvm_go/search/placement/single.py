"""Everything on the one best device; what that device cannot run goes where it runs quickest."""

from __future__ import annotations

from functools import partial

import numpy as np

from tvm_go.graph import Int32
from tvm_go.search.placement._construct import Classes, offer
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.workload import Floats


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Try each device that differs from those before it; the problem keeps the best."""
    seen = set()
    for number, device in enumerate(problem.machine.devices):
        if (device.kind, device.memory_bytes) not in seen:
            seen.add((device.kind, device.memory_bytes))
            offer(problem, partial(_all_on, problem, number))


def _all_on(problem: PlacementProblem, number: int, classes: Classes) -> tuple[Int32, Floats | None]:
    quickest = classes.ms.argmin(axis=1)
    home = np.where(np.isfinite(classes.ms[:, number]), number, quickest).astype(np.int32)
    return home[problem.workload.colocation], None
