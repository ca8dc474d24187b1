"""The report of a tuning run as one HTML page: the outcome, how it came about, what failed (docs/report.md)."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from string import Template

from tvm_go.report.convergence import convergence
from tvm_go.report.document import document, resource
from tvm_go.report.run_tables import (
    failure_table,
    gain_table,
    improvement_table,
    kernel_line_table,
    time_table,
    version_table,
    whole_table,
)
from tvm_go.report.verdict import verdict_line
from tvm_go.report.words import milliseconds
from tvm_go.result import TuneResult
from tvm_go.run_record import Moment, RunRecord

_BUTTON = '<button id="theme" aria-label="Switch between light and dark" title="Light or dark">&#9680;</button>'


def run_page(result: TuneResult, run: RunRecord, *, command: str = "", files: Mapping[str, str] | None = None) -> str:
    """The page of a run that is over.

    Parameters
    ----------
    result : TuneResult
    run : RunRecord
        Which was among the callbacks of the run.
    command : str
        By which it was started.
    files : mapping of str to str
        Where plan, log and the like are, by what they are called.
    """
    provenance = result.plan.provenance
    model = str(provenance.get("model", "model"))
    facts: dict[str, object] = {
        "target": result.plan.target,
        "CPU": provenance.get("host_cpu", ""),
        **{name: provenance[name] for name in ("strategy", "seed", "budget") if name in provenance},
        "rules": result.plan.rules,
        "graph": result.plan.workload[:12],
        **(files or {}),
    }
    until = Moment(run.seconds, run.times)
    sections = [
        f'<p class="verdict">{escape(verdict_line(result))}</p>',
        whole_table(run.plans),
        "<h2>How the search went</h2>",
        _search(run, until),
        "<h2>Where the gain comes from</h2>",
        gain_table(result.gains) if result.gains else f"<p>{_why_no_gains(result)}</p>",
        "<h2>Kernels of the plan</h2>",
        kernel_line_table(result.kernels) if result.kernels else "<p>No kernel of it was measured alone.</p>",
        "<h2>What cannot be used</h2>",
        failure_table(run) if run.failures else "<p>Every kernel that was asked for can be used.</p>",
        "<h2>Where time went</h2>",
        time_table(result, run, until),
        "<h2>How to repeat it</h2>",
        f"<pre>{escape(command)}</pre>" if command else "",
        version_table(provenance.get("versions", {})),
    ]
    return document(
        Template(resource("viewer/report.html")).substitute(sections="\n".join(sections)),
        title=f"{model}: tuning run",
        kind="tvm-go run",
        style="report.css",
        policy="script-src 'unsafe-inline'; style-src 'unsafe-inline'",
        facts=((name, str(value)) for name, value in facts.items() if value != ""),
        button=_BUTTON,
    )


def _search(run: RunRecord, until: Moment) -> str:
    if not run.improvements:
        return "<p>Nothing was searched: the plan is by rule, or the run ended before TVM's default was measured.</p>"
    progress = run.progress
    words = (
        f"The best plan's kernels add up to {milliseconds(run.best_ms)} ms, {run.gain:.3f}x TVM's default "
        f"({milliseconds(progress.default_ms)} ms). {progress.kernels} kernels were asked for, with a budget of "
        f"{progress.budget}: {run.measured} times measured, {run.from_log} from the log"
    )
    words += f"; {progress.predicted} kernels were predicted and not measured" if progress.predicted else ""
    words += f"; {progress.trials} schedules of {progress.kernel_trials} were tried" if progress.kernel_trials else ""
    by_times = convergence(
        run, until, lambda moment: float(moment.times), "times of kernels known, measured or from the log"
    )
    searched = next(
        (start for start in run.stages if start.name == "verify"), until
    )  # which changes nothing after that
    by_seconds = convergence(run, searched, lambda moment: moment.seconds, "seconds since the run began")
    note = "A kernel has a time for each lowering. Sums leave out what a whole model pays between its kernels."
    return (
        f"<p>{escape(words)}.</p>\n<figure>{by_times}</figure>\n"
        f"<figure>{by_seconds}<figcaption>{note}</figcaption></figure>\n{improvement_table(run)}"
    )


def _why_no_gains(result: TuneResult) -> str:
    if result.verdict != "faster":
        return "TVM's default plan is returned: there is no gain to divide."
    return "It was not measured (<code>--no-ablation</code>, or every kind of decision but one is TVM's own)."
