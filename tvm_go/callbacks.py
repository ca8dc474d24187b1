"""What a tuning run tells its caller while it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tuning_logs import KernelRecord, PlanRecord
from tvm_go.search import Problem

STAGES = ("prepare", "default", "variants", "search", "tune", "verify", "devices")
"""In the order in which they come; ``tune`` only if schedules of kernels are to be tried, ``devices`` only for a target
set."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    kernels, budget : int
        Distinct kernels asked for, and how many may be; those that were only predicted do not count.
    predicted : int
        Distinct kernels whose time was only predicted.
    trials, kernel_trials : int
        Schedules tried for the kernels of the plan, and how many may be.
    best_ms : float
        Milliseconds of the kernels of the best plan so far, added up; ``inf`` while there is none.
    default_ms : float
        The same of TVM's default plan, in TVM's own schedules; ``inf`` while it is not known.
    """

    kernels: int = 0
    budget: int = 0
    predicted: int = 0
    trials: int = 0
    kernel_trials: int = 0
    best_ms: float = float("inf")
    default_ms: float = float("inf")


class TuneCallbacks:
    """What a caller may follow; every method may be overridden and does nothing by default.

    All are called in the thread that tunes. KeyboardInterrupt ends the search, as Ctrl-C does: the run then gives its
    best plan so far. Any other exception ends the run.

    Examples
    --------
    >>> class Stop(TuneCallbacks):
    ...     def on_measure(self, record, from_log):
    ...         print(record.ops, record.lowering, record.median_ms, record.error_kind or "")
    ...
    ...     def on_progress(self, progress):
    ...         if progress.best_ms < 0.8 * progress.default_ms:
    ...             raise KeyboardInterrupt  # good enough
    >>> plan = tvm_go.tune(mod, params, callbacks=Stop())  # doctest: +SKIP
    """

    def on_stage(self, name: str) -> None:
        """A stage begins: one of :data:`STAGES`."""

    def on_measure(self, record: KernelRecord, from_log: bool) -> None:
        """A kernel was measured in one lowering, or the log says what it takes; ``record.succeeded``: it is usable."""

    def on_progress(self, progress: Progress) -> None:
        """Kernels were asked for, or a better plan was found."""

    def on_plan(self, record: PlanRecord) -> None:
        """A plan was compared with TVM's default, both as a whole: a candidate, or the one that is returned."""


class Together(TuneCallbacks):
    """Several callbacks, told one after the other in the order that is given."""

    def __init__(self, *callbacks: TuneCallbacks) -> None:
        self._callbacks = callbacks

    def on_stage(self, name: str) -> None:
        for one in self._callbacks:
            one.on_stage(name)

    def on_measure(self, record: KernelRecord, from_log: bool) -> None:
        for one in self._callbacks:
            one.on_measure(record, from_log)

    def on_progress(self, progress: Progress) -> None:
        for one in self._callbacks:
            one.on_progress(progress)

    def on_plan(self, record: PlanRecord) -> None:
        for one in self._callbacks:
            one.on_plan(record)


class Teller:
    """Says of the whole run what its steps know each of a part."""

    def __init__(self, callbacks: TuneCallbacks, *, budget: int, kernel_trials: int) -> None:
        self._callbacks = callbacks
        self._progress = Progress(budget=budget, kernel_trials=kernel_trials)

    def default(self, default_ms: float, problem: Problem) -> None:
        """TVM's default plan was measured, in TVM's own schedules; the problem has it in the best that are known."""
        self._progress = replace(self._progress, default_ms=default_ms)
        self.whole(problem)

    def piece(self, problem: Problem) -> None:
        """Kernels of a piece of the model were asked for."""
        self._tell(problem, float("inf"))

    def whole(self, problem: Problem) -> None:
        """Kernels of the model were asked for, or a better plan was found; of that only once the default is known."""
        known = self._progress.default_ms < float("inf")
        self._tell(problem, problem.best_ms if known else float("inf"))

    def tried(self, trials: int, best_ms: float) -> None:
        """Schedules were tried for the kernels of the best plan."""
        self._progress = replace(self._progress, trials=trials, best_ms=min(self._progress.best_ms, best_ms))
        self._callbacks.on_progress(self._progress)

    def _tell(self, problem: Problem, best_ms: float) -> None:
        self._progress = replace(
            self._progress,
            kernels=problem.spent,
            predicted=problem.asked - problem.spent,
            best_ms=min(self._progress.best_ms, best_ms),
        )
        self._callbacks.on_progress(self._progress)
