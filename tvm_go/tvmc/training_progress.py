"""Progress of a training run: a bar with reward and gap on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from tvm_go.training import TrainProgress, recent

_STAGES = {"prepare": ("preparing", "graph"), "train": ("training", "step")}
_FORMATS = {"imitation_loss": "imitation loss {:.3f}", "reward": "reward {:.3f}", "gap": "{:.1%} above the best known"}
_LINE_EVERY_S = 10.0


def in_words(means: Mapping[str, float]) -> str:
    """How training goes, of `tvm_go.training.recent`."""
    return ", ".join(text.format(means[name]) for name, text in _FORMATS.items() if name in means)


@contextlib.contextmanager
def training_progress(console: Console, *, quiet: bool) -> Iterator[Callable[[TrainProgress], None]]:
    """Give what is to be told of each graph and step."""
    if quiet:
        yield lambda progress: None
    elif console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
        )
        with Progress(*columns, console=console, transient=True) as bars:
            yield _Bar(bars).tell
    else:
        yield _Lines(console).tell


class _Bar:
    """A bar for the stage."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.stage = ""

    def tell(self, progress: TrainProgress) -> None:
        if progress.stage != self.stage:
            self.stage = progress.stage
            for task in self.bars.task_ids:
                self.bars.remove_task(task)
            self.bars.add_task("", total=1.0, state="")
        self.bars.update(
            self.bars.task_ids[0],
            description=_where(progress),
            completed=progress.share,
            state=in_words(recent(progress.rows)),
        )


class _Lines:
    """A line at each stage, and now and then between."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.stage = ""
        self.began = self.last = time.monotonic()

    def tell(self, progress: TrainProgress) -> None:
        now = time.monotonic()
        if progress.stage == self.stage and now - self.last < _LINE_EVERY_S:
            return
        self.stage, self.last = progress.stage, now
        state = in_words(recent(progress.rows))
        line = f"{now - self.began:6.1f} s  {_where(progress)}, {progress.share:.0%}" + (f": {state}" if state else "")
        self.console.print(line, highlight=False, soft_wrap=True)


def _where(progress: TrainProgress) -> str:
    doing, what = _STAGES[progress.stage]
    return f"{doing}, {what} {progress.done}"
