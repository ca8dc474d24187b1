"""Progress of a tuning run: a view that follows it on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from tuning_logs import KernelRecord, PlanRecord
from tvm_go.callbacks import Progress as Told
from tvm_go.callbacks import TuneCallbacks
from tvm_go.run_record import RunRecord, ratio_of
from tvm_go.tvmc.remaining import clock, remaining_s

_STAGES = {
    "prepare": "preparing the graph",
    "default": "timing TVM's default",
    "variants": "choosing forms",
    "search": "searching",
    "tune": "tuning kernels",
    "verify": "verifying the plan",
    "devices": "placing kernels on devices",
}
_COUNTED = ("default", "variants", "search")  # stages that ask for kernels, one after the other
_LINE_EVERY_S = 10.0
_FRAMES_PER_S = 8


@contextlib.contextmanager
def progress_on(
    console: Console, run: RunRecord, *, budget: int, seconds: float, quiet: bool
) -> Iterator[TuneCallbacks]:
    """Callbacks that show a run, which is told before they are; silent ones if ``quiet``.

    Parameters
    ----------
    budget, seconds
        Limits of the run.
    """
    if quiet:
        yield TuneCallbacks()
    elif console.is_terminal:
        view = _View(run, budget, seconds)
        with Live(
            console=console, transient=True, get_renderable=view.renderable, refresh_per_second=_FRAMES_PER_S
        ) as live:
            view.live = live
            yield view
    else:
        yield _Lines(console, run, budget)


class _View(TuneCallbacks):
    """A few lines that are drawn again and again."""

    def __init__(self, run: RunRecord, budget: int, seconds: float) -> None:
        self.run, self.budget, self.seconds = run, budget, seconds
        self.live: Live | None = None
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[state]}"),
        )
        self.bar = Progress(*columns)
        self.bar.add_task("", total=None, state="")

    def on_stage(self, name: str) -> None:
        if self.live is not None:
            self.live.refresh()  # a stage that ends before the next frame is seen too

    def renderable(self) -> RenderableType:
        run = self.run
        done, total = _done(run, self.budget)
        counted = f"{done}/{total} {'schedules' if run.stage == 'tune' else 'kernels'}  " if total else ""
        left = remaining_s(run, self.budget, self.seconds)
        state = f"{counted}{clock(run.seconds)}" + (f", at most {clock(left)} left" if left is not None else "")
        # No total: the bar only moves, for the end is not known.
        description = _STAGES.get(run.stage, "loading the model")
        self.bar.update(self.bar.task_ids[0], total=total or None, completed=done, description=description, state=state)
        return Group(self.bar.get_renderable(), _facts(run))


class _Lines(TuneCallbacks):
    """A line at each stage and for each plan that was built whole, and now and then between."""

    def __init__(self, console: Console, run: RunRecord, budget: int) -> None:
        self.console, self.run, self.budget = console, run, budget
        self.last = time.monotonic()

    def on_stage(self, name: str) -> None:
        self._print()

    def on_measure(self, record: KernelRecord, from_log: bool) -> None:
        self._print_if_due()

    def on_progress(self, progress: Told) -> None:
        self._print_if_due()

    def on_plan(self, record: PlanRecord) -> None:
        self.last = time.monotonic()
        self.console.print(f"{self.run.seconds:6.1f} s  as a whole: {_whole(record)}", highlight=False, soft_wrap=True)

    def _print_if_due(self) -> None:
        if time.monotonic() - self.last > _LINE_EVERY_S:
            self._print()

    def _print(self) -> None:
        self.last = time.monotonic()
        run = self.run
        done, total = _done(run, self.budget)
        parts = [f"{done}/{total} schedules" if run.stage == "tune" else f"{done}/{total} kernels"] if total else []
        if not total and run.kernels:
            parts.append(f"{len(run.kernels)} kernels")
        if run.best_ms < math.inf:
            parts.append(f"best sum {run.best_ms:.3f} of {run.progress.default_ms:.3f} ms")
        if run.failures:
            parts.append(f"{run.failures.total()} unusable")
        state = f": {', '.join(parts)}" if run.kernels else ""
        self.console.print(f"{run.seconds:6.1f} s  {_STAGES[run.stage]}{state}", highlight=False, soft_wrap=True)


def _done(run: RunRecord, budget: int) -> tuple[int, int]:
    """How far the stage is, and its end; 0 for an end that is not known."""
    if run.stage == "tune":
        return run.progress.trials, run.progress.kernel_trials
    kernels = len(run.kernels)
    return (kernels, max(budget, kernels)) if run.stage in _COUNTED else (0, 0)


def _facts(run: RunRecord) -> Table:
    """What is known so far, a line for each kind of fact."""
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", min_width=10)
    table.add_column()
    if run.best_ms < math.inf:
        text = (
            f"{run.best_ms:.3f} ms, {run.gain:.2f}x TVM's default ({run.progress.default_ms:.3f} ms), sums of kernels"
        )
        table.add_row("  best", text)
    if run.kernels:
        parts = [f"{run.measured} measured", f"{run.from_log} from the log"]
        parts += [f"{run.progress.predicted} kernels predicted"] if run.progress.predicted else []
        table.add_row("  times", ", ".join(parts))
    if run.failures:
        table.add_row("  unusable", ", ".join(f"{count} {kind}" for kind, count in run.failures.most_common()))
    if run.plans:
        table.add_row("  whole", _whole(run.plans[-1]))
    return table


def _whole(record: PlanRecord) -> str:
    if record.plan_ms == math.inf:
        return record.verdict
    return (
        f"{record.plan_ms:.3f} ms, {ratio_of(record):.2f}x TVM's default ({record.default_ms:.3f} ms): {record.verdict}"
    )
