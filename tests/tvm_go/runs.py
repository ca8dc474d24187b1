"""A tuning run as it is told, made up, with a clock of its own; and the result of one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.tuning_logs import samples
from tests.tvm_go.report.plans import plan_of
from tvm_go.callbacks import Progress, Together, TuneCallbacks
from tvm_go.result import KernelLine, TuneResult
from tvm_go.run_record import RunRecord

BUDGET = 40
DEFAULT_MS = 10.0
SUMS_MS = (9.0, 8.0, 7.5, 6.25)  # of the best plan: as TVM fuses it, and each better one of the search


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def key(number: int) -> str:
    """Of a kernel."""
    return f"{number:032x}"


def measure(clock: Clock, callbacks: TuneCallbacks, number: int, *, from_log: bool = False, **fields: Any) -> None:
    """A second passes and a kernel's time is known."""
    clock.now += 0.0 if from_log else 1.0
    callbacks.on_measure(samples.kernel(key=key(number), **fields), from_log)


def told(clock: Clock, *more: TuneCallbacks, run: RunRecord | None = None) -> RunRecord:
    """A run of 5 s of preparation, 10 kernels of the default in the log, 20 measured kernels, and a verdict."""
    run = RunRecord(clock) if run is None else run
    callbacks = Together(run, *more)
    callbacks.on_stage("prepare")
    clock.now += 5.0
    callbacks.on_stage("default")
    for number in range(10):
        measure(clock, callbacks, number, from_log=True)
    progress = Progress(kernels=10, budget=BUDGET, default_ms=DEFAULT_MS, best_ms=SUMS_MS[0])
    callbacks.on_stage("variants")
    callbacks.on_progress(progress)
    callbacks.on_stage("search")
    for step, best_ms in enumerate(SUMS_MS[1:], 1):
        for number in range(5 * step + 5, 5 * step + 10):
            failed: dict[str, Any] = {
                "median_ms": float("inf"),
                "times_ms": (),
                "error_kind": "timeout",
                "error_msg": "ran <too> long",
            }
            measure(clock, callbacks, number, **(failed if number == 12 else {}))
        progress = replace(progress, kernels=5 * step + 10, predicted=3 * step, best_ms=best_ms)
        callbacks.on_progress(progress)
        callbacks.on_progress(progress)  # nothing new
    callbacks.on_stage("verify")
    clock.now += 8.0
    callbacks.on_plan(
        samples.plan(default_ms=12.5, plan_ms=8.0, provenance={"ratio": 1.5, "ratio_low": 1.4, "ratio_high": 1.6})
    )
    return run


def result_of(**fields: Any) -> TuneResult:
    """A plan that is 1.5 times faster."""
    plan = plan_of(30).with_provenance(
        model="made <up>", strategy="annealing", seed=3, budget=BUDGET, host_cpu="a CPU", versions={"tvm": "0.19.0"}
    )
    figures: dict[str, Any] = {
        "plan": plan,
        "verdict": "faster",
        "default_ms": 12.0,
        "plan_ms": 8.0,
        "found_ms": 8.0,
        "ratio": 1.5,
        "ratio_low": 1.4,
        "ratio_high": 1.6,
        "max_error": 1e-6,
        "kernels_default": 10,
        "kernels_plan": 8,
        "kernels_found": 8,
        "measured": 15,
        "from_log": 10,
        "predicted": 9,
        "failures": {"timeout": 1},
        "seconds": {"prepare": 5.0, "compile": 10.0, "measure": 4.0, "search": 1.0, "verify": 8.0},
        "kernels": (KernelLine("nn.conv2d+add", 2, 2.5, "merged", "tir"), KernelLine("nn.softmax", 1, 1.25, "")),
        "gains": {"variants": 1.3, "fusion": 0.9},
    }
    return TuneResult(**(figures | fields))
