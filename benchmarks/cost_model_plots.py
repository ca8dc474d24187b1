"""Plots of what a cost model predicts, and of what it saves in a search; all are written as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cost_model.features import Floats

_MARGIN = 0.15  # of the lines beside the diagonal


def predicted_against_measured(path: Path, pairs: Mapping[str, Floats]) -> None:
    """One point for each kernel, one colour for each model left out.

    Parameters
    ----------
    pairs : dict of float64 [2, R]
        By model: milliseconds measured, and predicted.
    """
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(pairs)))
    for colour, (name, (measured, predicted)) in zip(colours, pairs.items(), strict=True):
        axes.scatter(measured, predicted, s=5, alpha=0.5, color=colour, linewidths=0, label=name)
    measured = np.concatenate([one[0] for one in pairs.values()])
    ends = np.array([measured.min(), measured.max()])
    for factor in (1 - _MARGIN, 1.0, 1 + _MARGIN):
        axes.plot(ends, factor * ends, color="black", linewidth=0.8, linestyle="-" if factor == 1 else "--")
    axes.set(xscale="log", yscale="log", xlabel="measured, ms", ylabel="predicted, ms")
    axes.set_title(f"Kernels of models left out; dashed: ±{100 * _MARGIN:.0f} %")
    figure.legend(loc="outside right upper", markerscale=3)
    _write(figure, path)


def errors_by_kind(path: Path, error: Floats, kind: NDArray[np.str_], key: NDArray[np.str_]) -> None:
    """Boxes (quartiles; whiskers at 5 and 95 %) of errors, the kind of least median at the top.

    Parameters
    ----------
    error : float64 [R]
        Absolute relative error.
    kind, key : str [R]
        Kind of the kernel's anchor, and the kernel.
    """
    kinds = sorted(set(kind.tolist()), key=lambda one: -float(np.median(error[kind == one])))
    figure = Figure(figsize=(7, 1.5 + 0.28 * len(kinds)), layout="constrained")
    axes = figure.subplots()
    axes.boxplot(
        [100 * error[kind == one] for one in kinds],
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        tick_labels=[f"{one} ({len(set(key[kind == one].tolist()))})" for one in kinds],
    )
    axes.axvline(100 * float(np.median(error)), color="tab:blue", linewidth=0.8, linestyle="--")
    axes.set(xlabel="absolute error, % (dashed: median of all)", xlim=(0, None))
    axes.set_title("By anchor (number of kernels)")
    _write(figure, path)


def learning_curve(path: Path, kernels: Floats, error: Floats, rank: Floats) -> None:
    """Error and rank over what was learned from.

    Parameters
    ----------
    kernels : float64 [S]
        Number of kernels learned from.
    error, rank : float64 [S]
        Median absolute relative error, and Spearman, means over models left out.
    """
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(kernels, 100 * error, marker="o")
    left.set(ylabel="median error, %", ylim=(0, None))
    right.plot(kernels, rank, marker="o")
    right.set(ylabel="Spearman")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="kernels learned from")
        axes.set_xticks(kernels, [f"{count:.0f}" for count in kernels], rotation=45)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    _write(figure, path)


def search_curves(path: Path, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Best milliseconds over measurements: a panel for each model, thin lines for seeds, a thick one for medians.

    Parameters
    ----------
    curves : dict of sequence of (measurements, best milliseconds so far)
        By ``MODEL SEED WAY``.
    """
    models = list(dict.fromkeys(name.split()[0] for name in curves))
    columns = min(3, len(models))
    rows = -(-len(models) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, model in zip(panels, models, strict=False):
        for colour, way, label in (
            ("tab:blue", "measured", "all measured"),
            ("tab:orange", "predicted", "with the model"),
        ):
            own = [curve for name, curve in curves.items() if name.split()[::2] == [model, way]]
            _thin_and_thick(axes, [np.array(curve, dtype=np.float64).reshape(-1, 2) for curve in own], colour, label)
        axes.set(title=model, xlabel="measurements", ylabel="best, ms")
    for axes in panels[len(models) :]:
        axes.remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    _write(figure, path)


def _thin_and_thick(axes: Axes, curves: Sequence[Floats], colour: str, label: str) -> None:
    """Steps (x, y) of some seeds, and their median where all of them have begun."""
    if not curves:
        return
    for curve in curves:
        axes.plot(*curve.T, color=colour, linewidth=0.7, alpha=0.6, drawstyle="steps-post")
    all_x = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    x = all_x[all_x >= max(curve[0, 0] for curve in curves)]
    steps = [curve[np.searchsorted(curve[:, 0], x, side="right") - 1, 1] for curve in curves]
    axes.plot(x, np.median(steps, axis=0), color=colour, linewidth=2.2, drawstyle="steps-post", label=label)


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
