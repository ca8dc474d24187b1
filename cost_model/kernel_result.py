"""What measuring a kernel gave: its times, a verdict on its numbers, or the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from statistics import median


class ErrorKind(str, Enum):
    """Why a kernel has no time."""

    BUILD_ERROR = "build_error"
    BUILD_TIMEOUT = "build_timeout"
    BUILD_CRASH = "build_crash"
    BUILD_MEMORY = "build_memory"
    RUN_ERROR = "run_error"
    RUN_TIMEOUT = "run_timeout"
    RUN_CRASH = "run_crash"
    WRONG_NUMBERS = "wrong_numbers"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class KernelResult:
    """The outcome for one kernel.

    Attributes
    ----------
    key : str
        The key of its `KernelTask`.
    median_ms : float
        Median of `times_ms`; infinite if the kernel failed.
    times_ms : tuple of float
        One mean time per repeat, in milliseconds; empty if the kernel failed.
    spread : float
        (max - min) / median of `times_ms`; 0 if the kernel failed.
    numerics : str
        "ok" or "wrong" against the unfused ops; "sensitive" where it is off by more than the tolerance, though by no
        more than rounding errors in those ops are worth; "single_op" for a kernel that is the unfused op, "unchecked"
        if it failed before it could be compared.
    max_error : float
        Largest difference from the reference over the reference's largest magnitude; NaN where not compared.
    error_kind : ErrorKind or None
        None for a good kernel.
    error_msg : str
        Reason of the failure, one or a few lines; empty for a good kernel.
    build_s : float
        Seconds of a worker spent on lowering, code generation and the reference.
    run_s : float
        Seconds spent on uploading, checking and timing.
    """

    key: str
    median_ms: float
    times_ms: tuple[float, ...]
    spread: float
    numerics: str
    max_error: float
    error_kind: ErrorKind | None
    error_msg: str
    build_s: float
    run_s: float

    @property
    def ok(self) -> bool:
        """Whether the kernel ran, with right numbers."""
        return self.error_kind is None

    def or_faster(self, other: KernelResult) -> KernelResult:
        """The same, with the times of another measurement of the kernel where that was faster."""
        faster = other if other.median_ms < self.median_ms else self
        return replace(
            self,
            median_ms=faster.median_ms,
            times_ms=faster.times_ms,
            spread=faster.spread,
            run_s=self.run_s + other.run_s,
        )


def timed_result(
    *, key: str, times_ms: tuple[float, ...], numerics: str, max_error: float, build_s: float, run_s: float
) -> KernelResult:
    """The result of a kernel that ran, with right numbers."""
    middle = median(times_ms)
    spread = (max(times_ms) - min(times_ms)) / middle if middle > 0 else 0.0
    return KernelResult(key, middle, times_ms, spread, numerics, max_error, None, "", build_s, run_s)


def failed_result(
    *,
    key: str,
    error_kind: ErrorKind,
    error_msg: str,
    numerics: str = "unchecked",
    max_error: float = float("nan"),
    build_s: float = 0.0,
    run_s: float = 0.0,
) -> KernelResult:
    """The result of a kernel that has no time."""
    return KernelResult(key, inf, (), 0.0, numerics, max_error, error_kind, error_msg, build_s, run_s)
