"""How well kernels of a model that was never seen are predicted: `python -m benchmarks.cost_model [LOG]`.

Leaves one model out at a time. A kernel that the model left out shares with others is not learned from.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import xgboost
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from benchmarks.collect_kernels import plans_file
from cost_model.dataset import Dataset, dataset
from cost_model.features import Floats
from cost_model.regressor import CostModel, roofline
from tuning_logs.files import kernels_of

Fit = Callable[[Dataset], Callable[[Floats], Floats]]
"""Learns from measurements; gives milliseconds (or a rank) of rows."""
_PLANS = 50


def by_roofline(data: Dataset) -> Callable[[Floats], Floats]:
    """Arithmetic and traffic, at a speed that fits the median."""
    worked = np.isfinite(data.ms)
    factor = np.median(np.log2(data.ms[worked]) - roofline(data.rows[worked]))
    return lambda rows: np.exp2(roofline(rows) + factor)


def by_linear(data: Dataset) -> Callable[[Floats], Floats]:
    """Ridge regression of the logarithm on all features."""
    worked = np.isfinite(data.ms)
    rows = np.nan_to_num(data.rows[worked])
    middle, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    table = np.column_stack([(rows - middle) / scale, np.ones(len(rows))])
    weights = np.linalg.solve(table.T @ table + 3.0 * np.eye(table.shape[1]), table.T @ np.log2(data.ms[worked]))

    def predict(rows: Floats) -> Floats:
        scaled = (np.nan_to_num(rows) - middle) / scale
        return np.asarray(np.exp2(np.clip(scaled @ weights[:-1] + weights[-1], -30, 30)))

    return predict


def by_ranking(data: Dataset) -> Callable[[Floats], Floats]:
    """XGBoost's ranking objective, one group per model: ranks only."""
    worked = data.take(np.isfinite(data.ms))
    order = np.argsort(worked.models, kind="stable")
    groups = np.unique(worked.models[order], return_counts=True)[1]
    slow = np.argsort(np.argsort(worked.ms[order])) * 31 // len(order)
    matrix = xgboost.DMatrix(worked.rows[order], label=slow)
    matrix.set_group(groups)
    params = {"objective": "rank:pairwise", "eta": 0.1, "max_depth": 8, "colsample_bytree": 0.5}
    booster = xgboost.train(params, matrix, 200)
    return lambda rows: np.asarray(booster.predict(xgboost.DMatrix(rows)), dtype=np.float64)


def by_ensemble(data: Dataset) -> Callable[[Floats], Floats]:
    """The model that ships."""
    model = CostModel.fit(data)
    return lambda rows: model.predict(rows).ms


WAYS: dict[str, Fit] = {
    "roofline": by_roofline, "linear": by_linear, "ranking": by_ranking, "ensemble": by_ensemble,
}  # fmt: skip


def regret(predicted: dict[str, float], measured: dict[str, float], plans: list[list[str]]) -> float:
    """Time of the plan that the prediction prefers, over the best of all, minus 1."""
    known = [plan for plan in plans if all(np.isfinite(measured.get(key, np.inf)) for key in plan)][:_PLANS]
    if not known:
        return float("nan")
    times = np.array([sum(measured[key] for key in plan) for plan in known])
    preferred = int(np.argmin([sum(predicted[key] for key in plan) for plan in known]))
    return float(times[preferred] / times.min() - 1)


def best_of(keys: list[str], ms: Floats) -> dict[str, float]:
    """The least by key: of a kernel's lowerings the fastest counts."""
    found: dict[str, float] = {}
    for key, value in zip(keys, ms.tolist(), strict=True):
        found[key] = min(value, found.get(key, float("inf")))
    return found


def without(data: Dataset, keys: Iterable[str], name: str) -> Dataset:
    """Measurements of what a model left out does not have."""
    return data.take(~np.isin(data.keys, list(keys)) & (data.models != name))


def left_out(data: Dataset, name: str, plans: list[list[str]], fit: Fit) -> tuple[float, float, float]:
    """Spearman, median absolute relative error, and regret on one model, learned from the others."""
    own = {key for plan in plans for key in plan}
    predict = fit(without(data, own, name))
    test = data.take(np.isin(data.keys, list(own)))
    ms = predict(test.rows)
    worked = np.isfinite(test.ms)
    error = np.median(np.abs(ms[worked] / test.ms[worked] - 1))
    rank = float(spearmanr(ms[worked], test.ms[worked]).statistic)
    keys = test.keys.tolist()
    return rank, float(error), regret(best_of(keys, ms), best_of(keys, test.ms), plans)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", nargs="?", type=Path, default=Path("build/kernels.jsonl"))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    plans: dict[str, list[list[str]]] = json.loads(plans_file(args.log).read_text())
    data = dataset(kernels_of(args.log))
    console = Console(width=160)
    table = Table(title=f"{len(data)} measurements of {len(set(data.keys.tolist()))} kernels", title_justify="left")
    for column in ("model left out", *(f"{way}: rank, error, regret" for way in args.ways)):
        table.add_column(column, justify="left" if column == "model left out" else "right")
    figures = {}
    for name, own in plans.items():
        figures[name] = [left_out(data, name, own, WAYS[way]) for way in args.ways]
        table.add_row(name, *(_cell(*one) for one in figures[name]))
    means = np.nanmean(np.array(list(figures.values())), axis=0)
    table.add_row("mean", *(_cell(*one) for one in means))
    console.print(table)


def _cell(rank: float, error: float, regret: float) -> str:
    return f"{rank:.3f}, {100 * error:.1f} %, {100 * regret:.1f} %"


if __name__ == "__main__":
    main()
