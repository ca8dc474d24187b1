"""What `tune-graph` prints: default against plan, the longest kernels, what changed, where time went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tvm_go.plan import GraphPlan
from tvm_go.report.verdict import verdict_line
from tvm_go.report.words import milliseconds
from tvm_go.result import KernelLine, TuneResult

_LONGEST_KERNELS = 10
_CHANGED_KERNELS = 10  # shown beyond the longest
_OPS_WIDTH = 52


def render(result: TuneResult, plan_path: Path, console: Console, *, brief: bool) -> None:
    """Print a result; only the verdict if ``brief``."""
    if not brief:
        if result.verdict != "interrupted":
            console.print(_comparison(result))
        if result.gains:
            console.print(_gains(result))
        if result.kernels:
            console.print(_kernels(result))
        if result.plan.device.any():
            console.print(_placement(result.plan), highlight=False, soft_wrap=True)
        console.print(_effort(result), highlight=False, soft_wrap=True)
    console.print(f"{verdict_line(result)}; plan: {plan_path}", highlight=False, soft_wrap=True)


def _comparison(result: TuneResult) -> Table:
    table = Table(title="Whole model, both builds timed in turns", title_justify="left")
    for column in ("", "ms", "speed-up", "99 % interval", "kernels"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("TVM's default", milliseconds(result.default_ms), "1.000", "", str(result.kernels_default))
    interval = f"{result.ratio_low:.3f} .. {result.ratio_high:.3f}"
    name = "plan" if result.verdict == "faster" else "plan found, not returned"
    if result.verdict != "default":
        found_kernels = str(result.kernels_found)
        table.add_row(name, milliseconds(result.found_ms), f"{result.ratio:.3f}", interval, found_kernels)
    return table


def _gains(result: TuneResult) -> Table:
    table = Table(title="What each decision adds", title_justify="left")
    table.add_column("without it, TVM's default in its place")
    table.add_column("speed-up by it", justify="right")
    for name, gain in result.gains.items():
        table.add_row(name, f"{gain:.3f}")
    return table


def _kernels(result: TuneResult) -> Table:
    total = sum(line.ms * line.count for line in result.kernels) or 1.0
    lines, left_out = _shown(result.kernels)
    table = Table(
        title="Kernels of the plan: the longest, and those that differ from TVM's default",
        title_justify="left",
        caption=f"and {left_out} more that differ" if left_out else None,
        caption_justify="left",
    )
    for column in ("ms each", "count", "share"):
        table.add_column(column, justify="right", no_wrap=True)
    placed = len(result.plan.devices) > 1
    if placed:
        table.add_column("device", no_wrap=True)
    table.add_column("lowering", no_wrap=True)
    table.add_column("to default", no_wrap=True)
    table.add_column("ops")
    for line in lines:
        share = f"{100 * line.ms * line.count / total:.1f} %"
        device = [line.device] if placed else []
        table.add_row(
            milliseconds(line.ms),
            str(line.count),
            share,
            *device,
            line.lowering,
            line.change or "same",
            _short(line.ops),
        )
    return table


def _placement(plan: GraphPlan) -> str:
    counts = np.bincount(plan.device, minlength=len(plan.devices)).tolist()
    kernels = ", ".join(f"{count} on {name}" for name, count in zip(plan.devices, counts, strict=True))
    said = plan.provenance
    return (
        f"kernels: {kernels}; {said['copies']} copies of {said['copied_bytes']:,} bytes; "
        f"{milliseconds(said['predicted_ms'])} ms predicted from kernels and copies"
    )


def _shown(kernels: tuple[KernelLine, ...]) -> tuple[list[KernelLine], int]:
    """The rows of the kernel table, and how many kernels that differ found no place in it."""
    longest, others = kernels[:_LONGEST_KERNELS], kernels[_LONGEST_KERNELS:]
    changed = [line for line in others if line.change]
    return [*longest, *changed[:_CHANGED_KERNELS]], sum(line.count for line in changed[_CHANGED_KERNELS:])


def _effort(result: TuneResult) -> str:
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items())
    failures = ", ".join(f"{count} {kind}" for kind, count in result.failures.items())
    kernels = f"{result.measured} kernel times measured, {result.from_log} from the log"
    kernels += f", {result.predicted} kernels predicted only" if result.predicted else ""
    total = sum(result.seconds.values())
    return f"{kernels}{f'; unusable: {failures}' if failures else ''}\ntime: {total:.1f} s ({parts})"


def _short(ops: str) -> str:
    """The names of a kernel's ops, as many as fit one row of the table in 100 columns."""
    names = [name.removeprefix("nn.").removeprefix("contrib_") for name in ops.split("+")]
    for shown in range(len(names), 0, -1):
        text = " + ".join(names[:shown] + [f"{len(names) - shown} more"] * (shown < len(names)))
        if len(text) <= _OPS_WIDTH:
            break
    return text
