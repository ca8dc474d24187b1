"""What happened in a tuning run, as it is told: for displays, and for the report at the end."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tuning_logs import KernelRecord, PlanRecord
from tvm_go.callbacks import Progress, TuneCallbacks


@dataclass(frozen=True)
class Moment:
    """When something happened in a run.

    Attributes
    ----------
    seconds : float
        Since the run began.
    times : int
        Times of kernels that were known by then, measured or from the log; a kernel has one for each lowering.
    """

    seconds: float
    times: int


@dataclass(frozen=True)
class Improvement(Moment):
    """A plan whose kernels add up to less than those of any before it."""

    stage: str
    best_ms: float


@dataclass(frozen=True)
class StageStart(Moment):
    """A stage begins."""

    name: str


class RunRecord(TuneCallbacks):
    """Counts what a run tells, and keeps when its best plan became better.

    Parameters
    ----------
    clock : callable
        Seconds.

    Attributes
    ----------
    stages : list of StageStart
    improvements : list of Improvement
        The first is TVM's default plan, each of its kernels in the fastest lowering.
    measured, from_log : int
        Times of kernels, one for each lowering.
    kernels, measured_kernels : set of str
        Keys of those whose time is known, and of those that were measured in this run.
    failures : Counter
        Times that cannot be used, by kind.
    examples : dict of str to KernelRecord
        The first failure of each kind.
    plans : list of PlanRecord
        Those that were compared with TVM's default as a whole.
    progress : Progress
        What was told last.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._start = clock, clock()
        self.stages: list[StageStart] = []
        self.improvements: list[Improvement] = []
        self.measured = self.from_log = 0
        self.kernels: set[str] = set()
        self.measured_kernels: set[str] = set()
        self.failures: Counter[str] = Counter()
        self.examples: dict[str, KernelRecord] = {}
        self.plans: list[PlanRecord] = []
        self.progress = Progress()

    @property
    def stage(self) -> str:
        """The stage that the run is in."""
        return self.stages[-1].name if self.stages else ""

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self._clock() - self._start

    @property
    def times(self) -> int:
        """Times of kernels that are known."""
        return self.measured + self.from_log

    @property
    def best_ms(self) -> float:
        """Least sum of the kernels of a plan so far."""
        return self.progress.best_ms

    @property
    def gain(self) -> float:
        """How many times less that is than the sum of the default plan's kernels; NaN while one is not known."""
        default_ms, best_ms = self.progress.default_ms, self.best_ms
        return default_ms / best_ms if 0 < best_ms < math.inf and default_ms < math.inf else math.nan

    def on_stage(self, name: str) -> None:
        self.stages.append(StageStart(self.seconds, self.times, name))

    def on_measure(self, record: KernelRecord, from_log: bool) -> None:
        self.kernels.add(record.key)
        if from_log:
            self.from_log += 1
        else:
            self.measured += 1
            self.measured_kernels.add(record.key)
        if not record.succeeded:
            kind = record.error_kind or record.numerics
            self.failures[kind] += 1
            self.examples.setdefault(kind, record)

    def on_progress(self, progress: Progress) -> None:
        if progress.best_ms < self.best_ms:
            self.improvements.append(Improvement(self.seconds, self.times, self.stage, progress.best_ms))
        self.progress = progress

    def on_plan(self, record: PlanRecord) -> None:
        self.plans.append(record)


def ratio_of(record: PlanRecord) -> float:
    """How many times faster than TVM's default a plan was, builds timed in turns; NaN if it did not run."""
    if record.plan_ms == math.inf:
        return math.nan
    return float(record.provenance.get("ratio", record.default_ms / record.plan_ms))
