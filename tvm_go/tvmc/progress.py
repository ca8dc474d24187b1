"""Progress of a tuning run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tuning_logs import KernelRecord
from tvm_go.callbacks import Progress as Known
from tvm_go.callbacks import TuneCallbacks

_STAGES = {
    "prepare": "preparing the graph",
    "default": "timing TVM's default",
    "variants": "choosing forms",
    "search": "searching",
    "tune": "tuning kernels",
    "verify": "verifying the plan",
}
_COUNTED = ("default", "variants", "search", "tune")  # stages that ask for kernels, one after the other
_LINE_EVERY_S = 10.0


@contextlib.contextmanager
def progress_on(console: Console, *, budget: int, quiet: bool) -> Iterator[KernelCounter]:
    """Callbacks that show a run; silent ones if ``quiet``."""
    if quiet:
        yield KernelCounter(budget)
    elif console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            yield _Bar(progress, budget)
    else:
        yield _Lines(console, budget)


class KernelCounter(TuneCallbacks):
    """Keeps what a display shows; shows nothing itself.

    Attributes
    ----------
    failures : int
        Measurements, of a kernel in one lowering, that cannot be used.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.stage = "prepare"
        self.failures = 0
        self._known: set[str] = set()
        self.best = ""

    @property
    def kernels(self) -> int:
        """Kernels whose time is known, measured or from the log, be it in one lowering or several."""
        return len(self._known)

    def on_stage(self, name: str) -> None:
        self.stage = name
        self.show(urgent=True)

    def on_measure(self, record: KernelRecord, from_log: bool) -> None:
        self._known.add(record.key)
        self.failures += not record.succeeded
        self.show()

    def on_progress(self, progress: Known) -> None:
        if progress.best_ms < float("inf"):
            self.best = f", best sum {progress.best_ms:.3f} of {progress.default_ms:.3f} ms"
        self.show()

    def state(self) -> str:
        """What is known so far."""
        count = f"{self.kernels}/{max(self.budget, self.kernels)}" if self.stage in _COUNTED else f"{self.kernels}"
        failures = f", {self.failures} unusable" if self.failures else ""
        return f"{count} kernels{self.best}{failures}"

    def show(self, *, urgent: bool = False) -> None:
        """Bring the display up to date."""


class _Bar(KernelCounter):
    def __init__(self, progress: Progress, budget: int) -> None:
        super().__init__(budget)
        self.progress = progress
        self.bar = progress.add_task(_STAGES[self.stage], total=None, state="")

    def show(self, *, urgent: bool = False) -> None:
        counted = self.stage in _COUNTED
        self.progress.tasks[0].total = self.budget if counted else None  # None: only moves, for the end is not known
        self.progress.update(
            self.bar,
            completed=min(self.kernels, self.budget),
            description=_STAGES[self.stage],
            state=self.state() if counted else "",
            refresh=urgent,  # a stage that ends before the next frame is seen too
        )


class _Lines(KernelCounter):
    def __init__(self, console: Console, budget: int) -> None:
        super().__init__(budget)
        self.console = console
        self.start = self.last = time.monotonic()

    def show(self, *, urgent: bool = False) -> None:
        now = time.monotonic()
        if urgent or now - self.last > _LINE_EVERY_S:
            self.last = now
            state = f": {self.state()}" if self.kernels else ""
            line = f"{now - self.start:6.1f} s  {_STAGES[self.stage]}{state}"
            self.console.print(line, highlight=False, soft_wrap=True)
