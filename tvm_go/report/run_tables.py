"""The tables of a run's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuning_logs import PlanRecord
from tvm_go.report.html_table import Bar, table
from tvm_go.report.words import milliseconds, short
from tvm_go.result import KernelLine, TuneResult
from tvm_go.run_record import Moment, RunRecord, ratio_of

KERNEL_ROWS = 500
_IMPROVEMENT_ROWS = 200
_REASON = 400  # characters


def whole_table(plans: Sequence[PlanRecord]) -> str:
    """Plans that were compared with TVM's default as a whole; empty if none was."""
    if not plans:
        return ""
    rows = []
    for record in plans:
        low, high = (record.provenance.get(name, math.nan) for name in ("ratio_low", "ratio_high"))
        rows.append(
            (
                record.plan_key[:12],
                milliseconds(record.default_ms),
                milliseconds(record.plan_ms),
                f"{ratio_of(record):.3f}" if record.plan_ms < math.inf else "",
                f"{low:.3f} .. {high:.3f}" if math.isfinite(low) else "",
                str(record.kernels),
                f"{record.max_error:.1e}" if record.max_error < math.inf else "",
                record.verdict,
            )
        )
    columns = (
        "plan",
        "TVM's default, ms",
        "plan, ms",
        "speed-up",
        "99 % interval",
        "kernels",
        "largest error",
        "verdict",
    )
    caption = "Plans compared with TVM's default build: both as a whole, in turns; the last one decides"
    return table("whole-table", caption, columns, rows, numeric=columns[1:-1])


def improvement_table(run: RunRecord) -> str:
    """When the best sum of kernels became less; the first and the last are always there."""
    found = run.improvements
    shown = found if len(found) <= _IMPROVEMENT_ROWS else [found[0], *found[1 - _IMPROVEMENT_ROWS :]]
    rows = [
        (
            one.stage,
            str(one.times),
            f"{one.seconds:.1f}",
            milliseconds(one.best_ms),
            f"{run.progress.default_ms / one.best_ms:.3f}",
        )
        for one in shown
    ]
    caption = f"{len(found)} plans, each better than those before"
    caption += f"; {len(found) - len(shown)} of the first are left out" if len(shown) < len(found) else ""
    columns = ("stage", "times known", "seconds", "best sum, ms", "x TVM's default")
    return table("improvement-table", caption, columns, rows, numeric=columns[1:])


def gain_table(gains: Mapping[str, float]) -> str:
    """What each kind of decision adds."""
    most = max([abs(gain - 1) for gain in gains.values()]) or 1.0
    rows = [(name, Bar(f"{gain:.3f}x", abs(gain - 1) / most)) for name, gain in gains.items()]
    caption = "The plan built again without one kind of decision, TVM's default in its place; below 1: it costs time"
    return table("gain-table", caption, ("decision", "speed-up by it"), rows, numeric=("speed-up by it",))


def kernel_line_table(kernels: Sequence[KernelLine]) -> str:
    """Kernels that are equal in a row, the longest first."""
    total = sum(line.ms * line.count for line in kernels) or 1.0
    rows = [
        (
            " + ".join(short(name) for name in line.ops.split("+")),
            str(line.count),
            milliseconds(line.ms),
            Bar(f"{line.ms * line.count / total:.1%}", line.ms * line.count / total),
            line.lowering,
            line.change or "same",
            line.source,
        )
        for line in kernels[:KERNEL_ROWS]
    ]
    left = len(kernels) - len(rows)
    caption = f"{sum(line.count for line in kernels)} kernels, equal ones in one row, the longest first"
    caption += f"; {left} shorter rows are left out" if left else ""
    columns = ("ops", "count", "ms each", "share", "lowering", "to default", "time from")
    return table("kernel-table", caption, columns, rows, numeric=columns[1:4])


def failure_table(run: RunRecord) -> str:
    """Times that cannot be used, by kind, with an example."""
    rows = []
    for kind, count in run.failures.most_common():
        example = run.examples[kind]
        reason = " ".join(example.error_msg.split())
        rows.append((kind, str(count), f"{example.ops} ({example.lowering.partition(' ')[0]})", _cut(reason)))
    caption = f"{run.failures.total()} of {run.times} times of kernels; none of them is in the plan"
    columns = ("kind", "count", "for instance", "reason")
    return table("failure-table", caption, columns, rows, numeric=("count",))


def time_table(result: TuneResult, run: RunRecord, until: Moment) -> str:
    """Seconds by what was done."""
    total = sum(result.seconds.values()) or 1.0
    rows = [(name, Bar(f"{seconds:.1f}", seconds / total)) for name, seconds in result.seconds.items()]
    stages = ", ".join(f"{start.name} at {start.seconds:.1f} s" for start in run.stages)
    caption = f"{until.seconds:.1f} s from begin to end; stages: {stages}"
    return table("time-table", caption, ("what", "seconds"), rows, numeric=("seconds",))


def version_table(versions: Mapping[str, str]) -> str:
    """Software that made the figures."""
    return table("version-table", "Versions", ("software", "version"), list(versions.items()), numeric=())


def _cut(text: str) -> str:
    return text if len(text) <= _REASON else text[: _REASON - 1] + "…"
