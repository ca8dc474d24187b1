"""Names and figures as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

_UNITS = ("", "k", "M", "G", "T", "P")


def short(name: str) -> str:
    """An operator's name without its folder."""
    return name.removeprefix("nn.").removeprefix("contrib_")


def labels(names: Sequence[str], starts: Sequence[int]) -> list[str]:
    """Names of the ops of each kernel, joined; ops stand kernel by kernel."""
    return [" + ".join(names[start:stop]) for start, stop in pairwise(starts)]


def milliseconds(value: float) -> str:
    """Four digits that count; empty for what is not known."""
    if not np.isfinite(value):
        return ""
    return f"{value:.4f}" if value < 1 else f"{value:.3f}" if value < 1000 else f"{value:,.0f}"


def amount(value: float, unit: str) -> str:
    """A number with three digits and a prefix: ``12.3 MB``; empty for what is not known."""
    if not np.isfinite(value):
        return ""
    step = 0
    while abs(value) >= 999.5 and step < len(_UNITS) - 1:
        value, step = value / 1000, step + 1
    text = f"{value:.3g}" if step else f"{value:.0f}"
    return f"{text} {_UNITS[step]}{unit}".strip()
