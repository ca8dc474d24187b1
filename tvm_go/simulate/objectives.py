"""What a placement is judged by: milliseconds of a workload on a machine, for a batch of placements at once."""

from __future__ import annotations

from tvm_go.graph import Int32
from tvm_go.simulate.machine import Machine
from tvm_go.simulate.workload import Floats, Workload

OBJECTIVES = ("throughput", "latency", "sequential", "concurrent", "pipeline")


def evaluate(
    workload: Workload, machine: Machine, objective: str, devices: Int32, priorities: Floats | None = None
) -> Floats:
    """Milliseconds of some placements, int32 [B, N], with priorities, float64 [B, N]: float64 [B]."""
    raise NotImplementedError
