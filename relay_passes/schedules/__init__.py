"""The lowering `tir`: one generic TIR schedule for any kernel, whatever ops it holds."""

from relay_passes.schedules.generic import NotSchedulableError, generic_schedule, tilings
from relay_passes.schedules.inlining import normalized
from relay_passes.schedules.tiling import Tiling
from relay_passes.schedules.vector_math import with_vector_math

__all__ = ["NotSchedulableError", "Tiling", "generic_schedule", "normalized", "tilings", "with_vector_math"]
