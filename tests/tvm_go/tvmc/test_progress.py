"""What follows a run on a terminal says what is known of it, and how long it may still take."""

from __future__ import annotations

import io
import re

from rich.console import Console

from tests.tvm_go.runs import BUDGET, DEFAULT_MS, SUMS_MS, Clock, measure, told
from tvm_go.callbacks import Progress, Together, TuneCallbacks
from tvm_go.run_record import RunRecord
from tvm_go.tvmc.progress import progress_on
from tvm_go.tvmc.remaining import clock as as_clock
from tvm_go.tvmc.remaining import remaining_s


def followed(*, terminal: bool, quiet: bool = False) -> str:
    """What a run prints on a console of 80 columns, without what moves the cursor."""
    clock, file = Clock(), io.StringIO()
    run = RunRecord(clock)
    console = Console(file=file, force_terminal=terminal, width=80, height=40)
    with progress_on(console, run, budget=BUDGET, seconds=float("inf"), quiet=quiet) as shown:

        class Drawn(TuneCallbacks):
            """Draws a frame at each stage's end, whenever the thread that draws comes by."""

            def on_plan(self, record: object) -> None:
                shown.on_stage("verify")

        told(clock, shown, Drawn(), run=run)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


def test_a_terminal_shows_best_times_failures_and_the_whole_in_80_columns() -> None:
    text = followed(terminal=True)
    assert f"{SUMS_MS[-1]:.3f} ms, 1.60x TVM's default ({DEFAULT_MS:.3f} ms), sums of kernels" in text
    assert "15 measured, 10 from the log, 9 kernels predicted" in text
    assert re.search(r"unusable +1 timeout", text)
    assert "8.000 ms, 1.50x TVM's default (12.500 ms)" in text
    assert max(len(line.rstrip()) for line in re.split(r"[\r\n]+", text)) <= 80


def test_a_file_gets_a_line_for_each_stage_and_each_plan() -> None:
    lines = followed(terminal=False).splitlines()
    assert lines[0] == "   0.0 s  preparing the graph"
    assert lines[1] == "   5.0 s  timing TVM's default"
    assert lines[2] == f"   5.0 s  choosing forms: 10/{BUDGET} kernels"
    assert lines[3] == f"   5.0 s  searching: 10/{BUDGET} kernels, best sum 9.000 of 10.000 ms"
    assert lines[4] == "  20.0 s  verifying the plan: 25 kernels, best sum 6.250 of 10.000 ms, 1 unusable"
    assert lines[5] == "  28.0 s  as a whole: 8.000 ms, 1.50x TVM's default (12.500 ms): faster"


def test_quiet_shows_nothing() -> None:
    assert followed(terminal=True, quiet=True) == ""


def test_what_is_left_of_the_budget_takes_as_long_as_what_was_measured() -> None:
    clock = Clock()
    run = RunRecord(clock)
    assert remaining_s(run, BUDGET, float("inf")) is None
    for stage in ("prepare", "default"):
        run.on_stage(stage)
        clock.now += 5.0
    for number in range(20):
        measure(clock, run, number, from_log=True)
    assert remaining_s(run, BUDGET, float("inf")) is None  # nothing was measured
    run.on_stage("search")
    for number in range(20, 25):
        measure(clock, run, number)
    assert remaining_s(run, 40, float("inf")) == 15 * (5.0 + 5.0) / 5
    assert remaining_s(run, 40, 12.0) == 12.0 - 5.0
    assert remaining_s(run, 40, 1.0) == 0.0
    assert remaining_s(run, 10, float("inf")) == 0.0
    run.on_stage("verify")
    assert remaining_s(run, 40, 12.0) is None


def test_tuning_kernels_counts_schedules() -> None:
    clock = Clock()
    run = RunRecord(clock)
    for stage in ("default", "search", "tune"):
        run.on_stage(stage)
        clock.now += 2.0
    for _ in range(4):
        measure(clock, Together(run), 1)
    run.on_progress(Progress(trials=4, kernel_trials=10))
    assert remaining_s(run, BUDGET, float("inf")) == 6 * (2.0 + 4.0) / 4


def test_clock() -> None:
    assert [as_clock(seconds) for seconds in (0.9, 61, 3600 * 11 + 59)] == ["0:00:00", "0:01:01", "11:00:59"]
