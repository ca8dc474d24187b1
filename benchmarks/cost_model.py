"""How well kernels of a model that was never seen are predicted: `python -m benchmarks.cost_model [LOG]`.

Leaves one model out at a time, or one target. A kernel that the model left out shares with others is not learned from.
Plots of what was predicted go to a folder; with ``--curve`` also how much what ships gains from more kernels.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import spearmanr

from benchmarks import cost_model_plots
from benchmarks.collect_kernels import SHIPPED, plans_file, plans_of
from benchmarks.cost_model_ways import WAYS, Fit
from benchmarks.own_process import CORES
from benchmarks.ship_records import MODELS as MEASURED
from cost_model.dataset import COLUMNS, Dataset, dataset
from cost_model.features import FEATURES, Floats
from tuning_logs.files import kernels_of
from tvm_go.errors import LogError

T = TypeVar("T")
Texts = NDArray[np.str_]
_RANKS_ONLY = ("ranking",)
_PLANS = 50
_OWN_SHARE = 0.25  # of a model's kernels, on a target where it was measured and does not only share some
_CURVE_SIZES = (250, 500, 1000, 2000, 4000, 8000)


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


def split(data: Dataset, name: str, plans: list[list[str]]) -> tuple[Dataset, Dataset]:
    """What to learn from if a model is left out, and its own kernels, on the targets where it was measured.

    What it shares with others is not learned from, whatever the target.
    """
    own = np.isin(data.keys, list({key for plan in plans for key in plan}))
    least = _OWN_SHARE * len(np.unique(data.keys[own]))
    here = [
        one for one in np.unique(data.targets[own]) if len(np.unique(data.keys[own & (data.targets == one)])) >= least
    ]
    return data.take(~own & (data.models != name)), data.take(own & np.isin(data.targets, here))


def split_by_target(data: Dataset) -> dict[str, tuple[Dataset, Dataset]]:
    """For each target, the measurements on the others and its own.

    Raises
    ------
    LogError
        If there is one target only.
    """
    targets = np.unique(data.targets).tolist()
    if len(targets) < 2:
        raise LogError(
            f"the log holds kernels of one target only ({targets[0]}): `tvm-go log merge` it with one of another"
        )
    return {one: (data.take(data.targets != one), data.take(data.targets == one)) for one in targets}


def errors(test: Dataset, ms: Floats) -> Floats:
    """Absolute relative error of what worked."""
    worked = np.isfinite(test.ms)
    return np.abs(ms[worked] / test.ms[worked] - 1)


def rank(test: Dataset, ms: Floats) -> float:
    """Spearman's correlation of what worked."""
    worked = np.isfinite(test.ms)
    return float(spearmanr(ms[worked], test.ms[worked]).statistic)


def figures(test: Dataset, ms: Floats, plans: list[list[str]], *, has_ms: bool = True) -> tuple[float, float, float]:
    """Spearman, median absolute relative error, and regret (NaN without plans) of what was predicted."""
    keys = test.keys.tolist()
    chosen = regret(best_of(keys, ms), best_of(keys, test.ms), plans)
    return rank(test, ms), float(np.median(errors(test, ms))) if has_ms else float("nan"), chosen


def anchor_kinds(rows: Floats) -> Texts:
    """Name of what each kernel mostly is: of the class of its anchor."""
    words = [name.removeprefix("ops_") for name in FEATURES if name.startswith("ops_")]
    first = COLUMNS.index(f"anchor_{words[0]}")
    return np.array(words)[np.argmax(rows[:, first : first + len(words)], axis=1)]


def learning_curve(splits: Sequence[tuple[Dataset, Dataset]], sizes: Iterable[int], fit: Fit) -> Floats:
    """How the prediction of models left out gains from more kernels.

    Parameters
    ----------
    splits : sequence of (what to learn from, the kernels of the model left out)
    sizes : iterable of int
        Numbers of kernels, drawn at random; the larger hold the smaller. All of them come last.

    Returns
    -------
    float64 [S, 3]
        Kernels learned from, median absolute relative error and Spearman, means over the models.
    """
    orders = [np.random.default_rng(0).permutation(np.unique(learned.keys)) for learned, _ in splits]
    fewest, most = min(map(len, orders)), max(map(len, orders))
    curve = []
    used = [*(size for size in sizes if size < fewest), most]
    for size in _progress(used, "learning curve", len(used)):
        points = []
        for order, (learned, test) in zip(orders, splits, strict=True):
            keys = order[:size]
            ms = fit(learned.take(np.isin(learned.keys, keys)))(test)
            points.append((len(keys), np.median(errors(test, ms)), rank(test, ms)))
        curve.append(np.mean(points, axis=0))
    return np.array(curve)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", nargs="?", type=Path, default=SHIPPED, help="default: what ships")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument(
        "--models", nargs="+", metavar="MODEL", help="to leave out, one by one; default: those of the README, else all"
    )
    parser.add_argument("--leave-out", choices=("model", "target"), default="model")
    parser.add_argument("--folder", type=Path, help="keeps what was predicted, to go on from")
    parser.add_argument("--plots", type=Path, default=Path("build/plots"), help="folder; default: %(default)s")
    parser.add_argument("--curve", action="store_true", help="plot a learning curve of what ships")
    args = parser.parse_args(arguments)
    try:
        compare(args)
    except LogError as error:
        raise SystemExit(f"error: {error}") from None


def compare(args: argparse.Namespace) -> None:
    """Predict what is left out in each way, print how well, and plot."""
    data = dataset(kernels_of(args.log))
    plans: dict[str, list[list[str]]] = {}
    if args.leave_out == "model":
        plans = plans_of(args.log)
        unknown = sorted(set(args.models or ()) - plans.keys())
        if unknown:
            raise LogError(f"{plans_file(args.log)} has no plans of {unknown[0]}; it has {', '.join(plans)}")
        names = args.models or (MEASURED if args.log == SHIPPED else plans)
        plans = {name: own for name, own in plans.items() if name in names}
        splits = {name: split(data, name, own) for name, own in plans.items()}
    else:
        splits = split_by_target(data)
    console = Console(width=160)
    predicted: dict[str, dict[str, Floats]] = {way: {} for way in args.ways}  # by way and model left out
    tables: dict[str, dict[str, list[tuple[float, float, float]]]] = {}  # by target tested on, and what was left out
    for name, of_ways in all_predictions(splits, args.ways, args.folder):
        test = splits[name][1]
        for way, ms in of_ways.items():
            predicted[way][name] = ms
        for target in np.unique(test.targets).tolist():
            here = test.targets == target
            row = [
                figures(test.take(here), ms[here], plans.get(name, []), has_ms=way not in _RANKS_ONLY)
                for way, ms in of_ways.items()
            ]
            tables.setdefault(target if plans else "each target left out", {})[name] = row
            for way, one in zip(of_ways, row, strict=True):
                console.print(f"{name}, {target}, {way}: {_cell(*one)}", highlight=False)
    console.print(f"{len(data)} measurements of {len(set(data.keys.tolist()))} kernels", highlight=False)
    for title, rows in tables.items():
        table = Table(title=title, title_justify="left")
        for column in ("left out", *(f"{way}:\nrank, error, regret" for way in args.ways)):
            table.add_column(column, justify="left" if column == "left out" else "right")
        for name, row in {**rows, "mean": np.nanmean(list(rows.values()), axis=0)}.items():
            table.add_row(name, *(_cell(*one) for one in row))
        console.print(table)
    plot(args.plots, {name: test for name, (_, test) in splits.items()}, predicted)
    if args.curve:
        curve = learning_curve(list(splits.values()), _CURVE_SIZES, WAYS["networks"])
        cost_model_plots.learning_curve(args.plots / "learning_curve.png", *curve.T)


def all_predictions(
    splits: Mapping[str, tuple[Dataset, Dataset]], ways: Sequence[str], folder: Path | None
) -> Iterator[tuple[str, dict[str, Floats]]]:
    """What each way predicts of what is left out, some at a time; kept in the folder, if any, and taken from there."""
    files = {name: folder / f"{name}.npz" for name in splits} if folder else {}
    missing = {name: halves for name, halves in splits.items() if not (name in files and files[name].exists())}
    os.environ["OMP_NUM_THREADS"] = "1"  # XGBoost's threads wait for each other; each process takes a core
    with ProcessPoolExecutor(len(CORES), get_context("spawn")) as pool:
        found = iter(pool.map(partial(predictions, [WAYS[way] for way in ways]), missing.values()))
        for name in _progress(splits, "left out", len(splits)):
            if name in missing:
                of_ways = dict(zip(ways, next(found), strict=True))
                if name in files:
                    files[name].parent.mkdir(parents=True, exist_ok=True)
                    np.savez(files[name], **of_ways)  # type: ignore[arg-type]  # numpy reads names as options, too
            else:
                with np.load(files[name]) as kept:
                    of_ways = {way: kept[way] for way in ways}
            yield name, of_ways


def predictions(fits: Sequence[Fit], halves: tuple[Dataset, Dataset]) -> list[Floats]:
    """What each way predicts of the second after learning from the first."""
    learned, test = halves
    return [fit(learned)(test) for fit in fits]


def plot(folder: Path, tests: Mapping[str, Dataset], predicted: Mapping[str, Mapping[str, Floats]]) -> None:
    """Plots of what ways predict of models left out: ``predicted_WAY.png`` and ``errors_WAY.png``."""
    keys = np.concatenate([test.keys[np.isfinite(test.ms)] for test in tests.values()])
    kinds = np.concatenate([anchor_kinds(test.rows[np.isfinite(test.ms)]) for test in tests.values()])
    for way, of_way in predicted.items():
        if way in _RANKS_ONLY:
            continue
        pairs = {name: np.stack([test.ms, of_way[name]])[:, np.isfinite(test.ms)] for name, test in tests.items()}
        cost_model_plots.predicted_against_measured(folder / f"predicted_{way}.png", pairs)
        error = np.concatenate([errors(test, of_way[name]) for name, test in tests.items()])
        cost_model_plots.errors_by_kind(folder / f"errors_{way}.png", error, kinds, keys)


def _progress(steps: Iterable[T], what: str, total: int) -> Iterable[T]:
    """The steps, with a bar on a terminal."""
    console = Console(stderr=True)
    return track(steps, what, total, console=console, disable=not console.is_terminal)


def _cell(rank: float, error: float, regret: float) -> str:
    return f"{rank:.3f}, {100 * error:.1f} %, {100 * regret:.1f} %"


if __name__ == "__main__":
    main()
