"""How to measure, and where: the options of `cost_model.measure.Measurer`."""

import os
from dataclasses import dataclass, field


def _cpu_count() -> int:
    return os.cpu_count() or 1


@dataclass(frozen=True)
class MeasureConfig:
    """How kernels are built and timed.

    Attributes
    ----------
    number : int
        Calls averaged into one time, at least; more for a short kernel (see `min_repeat_ms`), fewer where they would
        take longer than `max_timing_ms`.
    repeat : int
        Times taken per kernel; the median counts.
    min_repeat_ms : float
        Shortest total duration of the calls that are averaged into one time.
    max_timing_ms : float
        Longest total duration of all timed calls of a kernel; a kernel so slow that one call is longer is timed once.
    warmup : int
        Calls before timing, besides the one whose outputs are checked.
    build_timeout_s : float
        Longest time for one stage of building (lowering one kernel, generating the code of a batch, computing one
        reference).
    run_timeout_s : float
        Longest time for one kernel on the target: inputs, first run and timing.
    build_memory_mb : int
        Address space that a build worker may take beyond what it has after importing TVM.
    visits : int
        How often each kernel of a round is timed, one round of all after the other; the fastest visit counts. What
        shares a machine with us comes and goes within seconds, and only ever adds time.
    workers : int
        Build workers at a time.
    batch_size : int
        Kernels per shared library.
    batches_per_worker : int
        Batches that each worker builds before the kernels of this round are measured. Building and measuring take
        turns, since the server may share our cores.
    """

    number: int = 3
    repeat: int = 5
    min_repeat_ms: float = 1.0
    max_timing_ms: float = 200.0
    warmup: int = 1
    visits: int = 1
    build_timeout_s: float = 20.0
    run_timeout_s: float = 10.0
    build_memory_mb: int = 3072
    workers: int = field(default_factory=_cpu_count)
    batch_size: int = 8
    batches_per_worker: int = 3

    def __post_init__(self) -> None:
        for name in ("number", "repeat", "visits", "build_memory_mb", "workers", "batch_size", "batches_per_worker"):
            if getattr(self, name) < 1:
                raise ValueError(f"MeasureConfig.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("build_timeout_s", "run_timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"MeasureConfig.{name} is {getattr(self, name)}; it must be positive")
        for name in ("min_repeat_ms", "max_timing_ms", "warmup"):
            if getattr(self, name) < 0:
                raise ValueError(f"MeasureConfig.{name} is {getattr(self, name)}; it must not be negative")


@dataclass(frozen=True)
class RpcConfig:
    """An RPC tracker that exists already.

    Attributes
    ----------
    tracker_host, tracker_port : str, int
        Where the tracker listens.
    key : str
        The key under which the servers to use are registered.
    wait_s : float
        How long to wait for a server that is busy, or that was lost while measuring.
    """

    tracker_host: str
    tracker_port: int
    key: str
    wait_s: float = 60.0
