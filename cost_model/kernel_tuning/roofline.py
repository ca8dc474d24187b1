"""What the machine allows at best: a kernel's time by the roofline model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import tvm

from relay_passes.schedules.tiling import Machine

# A modest x86 core: 2 GHz, one fused multiply-add of a whole vector per cycle, 8 bytes from memory per ns.
_GHZ, _FLOPS_PER_LANE, _BYTES_PER_NS = 2.0, 2, 8.0
_START_MS = 0.002  # one parallel loop


@dataclass(frozen=True)
class Roofline:
    """Peaks of a machine.

    Attributes
    ----------
    flops_per_ms, bytes_per_ms : float
        The most that a modest machine of such a target does, or that some kernel was seen to do.
    """

    flops_per_ms: float
    bytes_per_ms: float

    @staticmethod
    def of(target: tvm.target.Target, seen: Iterable[tuple[float, float, float]]) -> Roofline:
        """From a target, and from flops, bytes and milliseconds of kernels that were measured."""
        machine = Machine.of(target)
        flops = machine.lanes * _FLOPS_PER_LANE * _GHZ * 1e6 * machine.cores
        moved = _BYTES_PER_NS * 1e6 * machine.cores
        for kernel_flops, kernel_bytes, milliseconds in seen:
            flops = max(flops, kernel_flops / milliseconds)
            moved = max(moved, kernel_bytes / milliseconds)
        return Roofline(flops, moved)

    def bound_ms(self, flops: float, moved: float) -> float:
        """Milliseconds that a kernel takes at least."""
        return _START_MS + max(flops / self.flops_per_ms, moved / self.bytes_per_ms)
