"""The convergence of a tuning run as a picture (SVG): its best sum of kernels over times known, or over seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

from tvm_go.report.words import milliseconds
from tvm_go.run_record import Moment, RunRecord

_WIDTH, _HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 26, 44  # margins, where the axes' figures stand
_LETTER = 6.2  # width of one, for what fits
_TICKS = 5


def convergence(run: RunRecord, until: Moment, x_of: Callable[[Moment], float], x_title: str) -> str:
    """The picture; empty for a run in which nothing was searched.

    Parameters
    ----------
    until : Moment
        Where the curve ends.
    x_of : callable
        What goes to the right.
    """
    if not run.improvements:
        return ""
    default_ms = run.progress.default_ms
    sums = [one.best_ms for one in run.improvements] + [default_ms]
    margin = 0.08 * (max(sums) - min(sums)) or 0.05 * max(sums)
    low, high = max(0.0, min(sums) - margin), max(sums) + margin
    end = x_of(until) or 1.0

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(value / end, 1.0)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    parts = [*_stages(run, until, x_of, x), *_axes(end, low, high, x, y, x_title)]
    parts.append(
        f'<line class="default" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(default_ms):.1f}" y2="{y(default_ms):.1f}"/>'
    )
    parts.append(_text(_WIDTH - _RIGHT - 4, y(default_ms) - 5, "TVM's default, its kernels added up", "end"))
    path = f"M{x(x_of(run.improvements[0])):.1f},{y(run.improvements[0].best_ms):.1f}"
    for one in run.improvements[1:]:
        path += f"H{x(x_of(one)):.1f}V{y(one.best_ms):.1f}"
    parts.append(f'<path class="best" d="{path}H{x(end):.1f}"/>')
    for one in run.improvements:
        words = (
            f"{milliseconds(one.best_ms)} ms, {default_ms / one.best_ms:.3f}x TVM's default; "
            f"{one.times} times known, {one.seconds:.1f} s, {one.stage}"
        )
        place = f'cx="{x(x_of(one)):.1f}" cy="{y(one.best_ms):.1f}" r="3.5"'
        parts.append(f'<circle class="best" {place}><title>{escape(words)}</title></circle>')
    label = f"Best sum of kernels over {x_title}: from {milliseconds(default_ms)} to {milliseconds(run.best_ms)} ms"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _stages(run: RunRecord, until: Moment, x_of: Callable[[Moment], float], x: Callable[[float], float]) -> list[str]:
    """Bands, every other one shaded, named where there is room."""
    parts = []
    starts = [stage for stage in run.stages if stage.seconds < until.seconds or stage is run.stages[0]]
    ends = [*starts[1:], until]
    shaded = False
    for stage, end in zip(starts, ends, strict=True):
        left, right = x(x_of(stage)), x(x_of(end))
        place = f'x="{left:.1f}" y="{_TOP}" width="{max(right - left, 0.0):.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"'
        shade = "band" if shaded else "band clear"
        parts.append(f'<rect class="{shade}" {place}><title>{escape(stage.name)}</title></rect>')
        shaded ^= right - left > 1
        if right - left > _LETTER * len(stage.name) + 4:
            parts.append(_text((left + right) / 2, _TOP - 8, stage.name, "middle"))
    return parts


def _axes(
    end: float, low: float, high: float, x: Callable[[float], float], y: Callable[[float], float], x_title: str
) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = []
    for value in _ticks(0.0, end):
        parts.append(f'<line class="axis" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(_text(x(value), bottom + 17, f"{value:g}", "middle"))
    for value in _ticks(low, high):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(_text(_LEFT - 6, y(value) + 4, f"{value:g}", "end"))
    parts.append(f'<path class="axis" d="M{_LEFT},{_TOP}V{bottom}H{_WIDTH - _RIGHT}"/>')
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_title, "middle"))
    parts.append(_text(14, _TOP - 8, "ms", "start"))
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """About five round values between two."""
    rough = (high - low) / _TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough)
    first = math.ceil(low / step)
    return [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)]


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
