"""What a tuning run found: the plan, how it compares with TVM's default, and where the time went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import members
from tvm_go.plan import GraphPlan
from tvm_go.search import Problem


class Answer(Protocol):
    """What the oracle said of a kernel (``tuning_logs.KernelRecord``)."""

    @property
    def ops(self) -> str: ...
    @property
    def median_ms(self) -> float: ...
    @property
    def error_kind(self) -> str | None: ...


class Answers(Protocol):
    """What the oracle knows (``cost_model.oracle.KernelOracle``)."""

    def best(self, key: str) -> Answer: ...
    def te_ms(self, key: str) -> float: ...
    def source(self, key: str) -> str: ...
    def knows(self, key: str) -> bool: ...
    def failures(self) -> Iterable[Answer]: ...


class Verdict(Protocol):
    """What the whole plan did (``tuning_logs.PlanRecord``)."""

    @property
    def verdict(self) -> str: ...
    @property
    def default_ms(self) -> float: ...
    @property
    def plan_ms(self) -> float: ...
    @property
    def numerics(self) -> str: ...
    @property
    def max_error(self) -> float: ...
    @property
    def provenance(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class KernelLine:
    """Kernels of a plan that are structurally equal, and how they came about."""

    ops: str
    count: int
    ms: float  # of one
    change: str  # against the default partition of these forms: "", "merged", "split" or "regrouped"
    lowering: str = "te"
    source: str = "measured"  # where the time comes from: "measured" or "log"
    device: str = "cpu"


@dataclass(frozen=True)
class TuneResult:
    """Outcome of a tuning run.

    Attributes
    ----------
    plan : GraphPlan
        What to build: the plan that was found if it is faster beyond noise, else the default.
    verdict : str
        ``faster``; or why the default is returned: ``same``, ``slower``, ``wrong`` (numbers differ), ``failed`` (the
        plan did not build or run), ``default`` (nothing better was found); ``interrupted``: not verified.
    default_ms, plan_ms : float
        Milliseconds of the whole model, timed in turns; of the returned plan.
    ratio, ratio_low, ratio_high : float
        default / found plan, with its 99 % interval.
    found_ms : float
        Milliseconds of the plan that was found, whatever the verdict.
    kernels_default, kernels_plan, kernels_found : int
        Kernels that run in the default, the returned plan, and the plan that was found; changes of view are none.
    measured, from_log, predicted : int
        Kernels measured in this run, answered from the log, and predicted and never measured: none of the plan's.
    failures : dict
        Kernels that cannot be used, by kind.
    seconds : dict
        Where time went: ``prepare``, ``compile``, ``measure``, ``search``, ``verify``.
    kernels : tuple of KernelLine
        Of the returned plan, the longest first.
    error : str
        Why the plan that was found failed.
    """

    plan: GraphPlan
    verdict: str
    default_ms: float
    plan_ms: float
    found_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    max_error: float
    kernels_default: int
    kernels_plan: int
    kernels_found: int
    measured: int
    from_log: int
    predicted: int
    failures: dict[str, int]
    seconds: dict[str, float]
    kernels: tuple[KernelLine, ...]
    gains: dict[str, float]
    error: str = ""

    @property
    def speedup(self) -> float:
        """Default over returned plan."""
        return self.ratio if self.verdict == "faster" else 1.0

    def to_json(self) -> dict[str, Any]:
        """Figures for scripts; infinities and unknowns are None."""
        figures = {
            "default_ms": self.default_ms,
            "plan_ms": self.plan_ms,
            "found_ms": self.found_ms,
            "speedup": self.speedup,
            "ratio": self.ratio,
            "ratio_low": self.ratio_low,
            "ratio_high": self.ratio_high,
            "max_error": self.max_error,
        }
        return {
            "verdict": self.verdict,
            **{name: value if np.isfinite(value) else None for name, value in figures.items()},
            "kernels_default": self.kernels_default,
            "kernels_plan": self.kernels_plan,
            "measured": self.measured,
            "from_log": self.from_log,
            "predicted": self.predicted,
            "failures": self.failures,
            "gains": {name: round(value, 4) for name, value in self.gains.items()},
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "error": self.error,
            "kernels": [asdict(line) for line in self.kernels],
        }


def summarize(
    default: tuple[Problem, GraphPlan],
    problem: Problem,
    found: GraphPlan,
    record: Verdict | None,
    oracles: Mapping[str, Answers],
    counts: tuple[int, int, int],
    seconds: dict[str, float],
) -> TuneResult:
    """Decide what is returned, and collect what a user wants to know of it.

    Parameters
    ----------
    default : Problem and GraphPlan
        TVM's default plan, on the graph in TVM's own forms.
    found : GraphPlan
        The best plan of the search, on the graph of ``problem``.
    record : Verdict or None
        Of ``found``, as a whole; None if the run was interrupted before.
    oracles : mapping of str to Answers
        By device; the host first.
    counts : triple of int
        Kernels measured, answered from the log, and predicted only.
    """
    baseline, default_plan = default
    verdict = "interrupted" if record is None else "default" if found.key == default_plan.key else record.verdict
    nan = float("nan")
    details = record.provenance if record else {}
    default_ms, found_ms = (record.default_ms, record.plan_ms) if record else (nan, nan)
    kept = verdict in ("faster", "interrupted")
    plan = found if kept else default_plan.with_provenance(**found.provenance)
    shown = problem if kept else baseline
    plan_ms = found_ms if verdict == "faster" else default_ms
    plan = plan.with_provenance(
        verdict=verdict, verified=record is not None, default_ms=_number(default_ms), plan_ms=_number(plan_ms)
    )
    failures = Counter(answer.error_kind for oracle in oracles.values() for answer in oracle.failures())
    return TuneResult(
        plan=plan,
        verdict=verdict,
        default_ms=default_ms,
        plan_ms=plan_ms,
        found_ms=found_ms,
        ratio=details.get("ratio", nan),
        ratio_low=details.get("ratio_low", nan),
        ratio_high=details.get("ratio_high", nan),
        max_error=record.max_error if record else nan,
        kernels_default=_running(baseline, default_plan.kernel),
        kernels_plan=_running(shown, plan.kernel),
        kernels_found=_running(problem, found.kernel),
        measured=counts[0],
        from_log=counts[1],
        predicted=counts[2],
        failures={str(kind): count for kind, count in sorted(failures.items())},
        seconds=seconds,
        kernels=_kernel_lines(shown, plan, oracles),
        gains=dict(details.get("gains", {})),
        error=str(details.get("error", "")),
    )


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _running(problem: Problem, kernel: Int32) -> int:
    """Kernels that take time: no views, nothing that another code generator made."""
    return sum(bool(key) for key in problem.paid_keys(kernel))


def _kernel_lines(problem: Problem, plan: GraphPlan, oracles: Mapping[str, Answers]) -> tuple[KernelLine, ...]:
    changes = kernel_changes(problem.graph, plan.kernel, problem.default)
    keys = problem.paid_keys(plan.kernel)
    host = next(iter(oracles))
    devices = [plan.devices[place] for place in plan.device] or [host] * len(keys)
    if not all(oracles[device].knows(key) for key, device in zip(keys, devices, strict=True) if key):
        return ()  # nothing was measured
    kinds = [lowering.kind for lowering in plan.lowering] or ["te"] * len(keys)
    lines = Counter(row for row in zip(keys, changes, kinds, devices, strict=True) if row[0])
    result = []
    for (key, change, kind, device), count in lines.items():
        oracle = oracles[device]
        answer = oracle.best(key)
        milliseconds = answer.median_ms if plan.lowering else oracle.te_ms(key)
        result.append(KernelLine(answer.ops, count, milliseconds, change, kind, oracle.source(key), device))
    return tuple(sorted(result, key=lambda line: -line.ms * line.count))


def kernel_changes(graph: OpGraph, kernel: Int32, default: Int32) -> list[str]:
    """How each kernel differs from the default partition: "", ``merged``, ``split`` or ``regrouped``."""
    starts, ops = members(kernel)
    sizes = np.bincount(default)
    changes = []
    for number in range(len(starts) - 1):
        inside, counts = np.unique(default[ops[starts[number] : starts[number + 1]]], return_counts=True)
        whole = bool(np.all(sizes[inside] == counts))
        if len(inside) == 1:
            changes.append("" if whole else "split")
        else:
            changes.append("merged" if whole else "regrouped")
    return changes
