"""Figures for TensorBoard, which is an optional package: their folder, and what a tuning run writes into it."""

from __future__ import annotations

import contextlib
import math
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tuning_logs import KernelRecord, PlanRecord
from tvm_go.callbacks import Progress, TuneCallbacks
from tvm_go.errors import UsageError
from tvm_go.run_record import RunRecord, ratio_of


@contextlib.contextmanager
def quiet_writer() -> Iterator[None]:
    """While entered, a thread of TensorBoard that cannot write prints no traceback: its writer raises the error too."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        of_tensorboard = type(arguments.thread).__module__.partition(".")[0] == "tensorboard"
        if not (of_tensorboard and isinstance(arguments.exc_value, OSError)):
            before(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


class Figures:
    """A folder of figures. A disk that fills up ends the writing and not the run; ``error`` then says why.

    Parameters
    ----------
    folder : Path
        The run gets a folder of its own in it, named after ``name`` and the time, so that TensorBoard shows runs side
        by side.

    Raises
    ------
    UsageError
        If the folder cannot be written, or a package is missing.
    """

    def __init__(self, folder: Path, *, name: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            raise UsageError(
                "--tensorboard needs the packages torch and tensorboard: pip install torch tensorboard"
            ) from None
        self.error = ""
        self.folder = folder / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"x")
            self._writer: Any | None = SummaryWriter(str(self.folder))
        except OSError as error:
            raise UsageError(
                f"cannot write for TensorBoard to '{folder}' ({error.strerror or error}); "
                "choose another folder with --tensorboard"
            ) from error

    def scalar(self, name: str, value: float, step: int) -> None:
        """Write a point of a curve."""
        self.write(lambda board: board.add_scalar(name, value, step))

    def write(self, write: Callable[[Any], object]) -> None:
        """Let a function use TensorBoard's writer."""
        if self._writer is None:
            return
        try:
            write(self._writer)
        except OSError as error:
            self.error = f"{error.strerror or error}: {self.folder}"
            self._writer = None

    def close(self) -> None:
        """Write what is left."""
        self.write(lambda board: board.close())
        self._writer = None


class Board(TuneCallbacks):
    """Writes a run for TensorBoard; the step of every figure is how many times of kernels were known by then.

    Close it at the end.

    Parameters
    ----------
    folder, name
        See `Figures`.
    run : RunRecord
        What is written; it must be told before this.
    options : mapping
        Of the run.

    Raises
    ------
    UsageError
        If the folder cannot be written, or a package is missing.
    """

    def __init__(self, folder: Path, run: RunRecord, *, name: str, options: Mapping[str, Any]) -> None:
        self.run = run
        self.figures = Figures(folder, name=name)
        self._options = {name: value for name, value in options.items() if value is not None}
        text = "\n".join(f"    {name}: {value}" for name, value in self._options.items())  # indented: as it stands
        self.figures.write(lambda board: board.add_text("run", text, 0))

    def on_stage(self, name: str) -> None:
        self._scalar("seconds/begin of " + name, self.run.seconds)

    def on_measure(self, record: KernelRecord, from_log: bool) -> None:
        run = self.run
        self._scalar("kernels/measured", run.measured)
        self._scalar("kernels/from the log", run.from_log)
        self._scalar(f"measured in/{run.stage}", run.times - run.stages[-1].times)
        if not record.succeeded:
            kind = record.error_kind or record.numerics
            self._scalar(f"failures/{kind}", run.failures[kind])

    def on_progress(self, progress: Progress) -> None:
        self._scalar("kernels/asked of the budget", progress.kernels)
        if progress.predicted:
            self._scalar("kernels/predicted", progress.predicted)
        if progress.best_ms < math.inf:
            self._scalar("best/sum of kernels, ms", progress.best_ms)
            self._scalar("best/speed-up by that sum", self.run.gain)

    def on_plan(self, record: PlanRecord) -> None:
        if record.plan_ms < math.inf:
            self._scalar("whole/plan, ms", record.plan_ms)
            self._scalar("whole/TVM's default, ms", record.default_ms)
            self._scalar("whole/speed-up", ratio_of(record))

    def close(self) -> None:
        """Write what is left, and the options of the run beside its outcome."""
        run, plain = self.run, (bool, int, float, str)
        options = {name: value if isinstance(value, plain) else str(value) for name, value in self._options.items()}
        outcome: dict[str, float] = {"outcome/kernels measured": run.measured, "outcome/failures": run.failures.total()}
        if run.best_ms < math.inf:
            outcome["outcome/speed-up by sum of kernels"] = run.gain
        if run.plans and run.plans[-1].plan_ms < math.inf:
            outcome["outcome/speed-up as a whole"] = ratio_of(run.plans[-1])
        self.figures.write(lambda board: board.add_hparams(options, outcome, run_name=".", global_step=run.times))
        self.figures.close()

    def _scalar(self, name: str, value: float) -> None:
        self.figures.scalar(name, value, self.run.times)
