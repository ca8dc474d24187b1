"""Tables and plot of `benchmarks.joint_tasks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from tvm_go.learn.plan_lessons import TASKS

COLUMNS = ("random in sequence", "random together", "in sequence", "in turns", "together")


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes
    ----------
    ms : dict of str to list of float
        By column, the makespan after each budget.
    without_ms : dict of str to float
        The last plan of all tasks together with the decisions of one task as they are by default.
    """

    seed: int
    model: str
    machine: str
    devices_by_default: int
    default_ms: float
    quick_ms: float
    ms: dict[str, list[float]]
    without_ms: dict[str, float]


def speed_ups(rows: Sequence[Row], column: str, place: int) -> np.typing.NDArray[np.float64]:
    """Default over found, of all rows after one of the budgets: float64 [R]."""
    return np.array([row.default_ms / row.ms[column][place] for row in rows])


def tables(rows: Sequence[Row], budgets: Sequence[int]) -> tuple[Table, Table, Table]:
    """Means after each budget; by model after the middle one; what each task is worth in the last plans."""
    means = Table(
        "evaluations", *COLUMNS, "together / sequence", "95 % interval", "better, worse", title="default / found"
    )
    for place, budget in enumerate(budgets):
        ratio = speed_ups(rows, COLUMNS[4], place) / speed_ups(rows, COLUMNS[2], place)
        means.add_row(
            str(budget),
            *(f"{geomean(speed_ups(rows, column, place)):.3f}" for column in COLUMNS),
            f"{geomean(ratio):.3f}",
            "{:.3f} .. {:.3f}".format(*_interval(ratio)),
            f"{(ratio > 1.001).sum()}, {(ratio < 0.999).sum()} of {len(ratio)}",
        )
    place = len(budgets) // 2
    by_model = Table(
        "model", "cases", "quick strategies", *COLUMNS, title=f"default / found, {budgets[place]} evaluations"
    )
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        quick = geomean(np.array([row.default_ms / row.quick_ms for row in own]))
        cells = (f"{geomean(speed_ups(own, column, place)):.3f}" for column in COLUMNS)
        by_model.add_row(model, str(len(own)), f"{quick:.3f}", *cells)
    worth = Table("without the decisions of", "longer", "cases by 1 % or more", title="the last plans of all together")
    for task in TASKS:
        ratio = np.array([row.without_ms[task] / row.ms[COLUMNS[4]][-1] for row in rows])
        worth.add_row(task, f"{geomean(ratio):.3f}", f"{(ratio >= 1.01).sum()} of {len(ratio)}")
    return means, by_model, worth


def geomean(ratios: np.typing.NDArray[np.float64]) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(ratios))))


def _interval(ratios: np.typing.NDArray[np.float64], draws: int = 10_000) -> tuple[float, float]:
    """95 % of the geometric means of cases drawn anew (bootstrap)."""
    drawn = np.random.default_rng(0).choice(np.log(ratios), (draws, len(ratios))).mean(axis=1)
    low, high = np.exp(np.quantile(drawn, (0.025, 0.975)))
    return float(low), float(high)


def plot(path: Path, rows: Sequence[Row], budgets: Sequence[int]) -> None:
    """Means by evaluations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for column, style in zip(COLUMNS, ("C0:", "C1:", "C0-", "C2-", "C1-"), strict=True):
        means = [geomean(speed_ups(rows, column, place)) for place in range(len(budgets))]
        axes.plot(budgets, means, style, marker="o", label=column)
    axes.set(xscale="log", xlabel="evaluations", ylabel="default / found, geomean")
    axes.set_xticks(budgets, labels=[str(budget) for budget in budgets], minor=False)
    axes.minorticks_off()
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
