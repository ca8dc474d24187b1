"""Other tilings of the generic schedule for one kernel; runs inside a searcher."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import tvm

from relay_passes.schedules import NotSchedulableError, Tiling, tilings

_UNROLLS = (2, 4, 8)


def propose_tilings(
    func: tvm.tir.PrimFunc, target: tvm.target.Target, history: Sequence[tuple[str, float]], count: int
) -> list[str]:
    """Tilings to measure next, as JSON: in turns the next best by rule, and a neighbour of the best that was measured.

    Parameters
    ----------
    func : PrimFunc
        The kernel's computation.
    history : sequence of (str, float)
        What was tried, with milliseconds (``inf`` for failures).
    """
    try:
        by_rule = tilings(func, target)
    except NotSchedulableError:
        return []
    if not by_rule:
        return []
    tried = {text for text, _ in history} | {text_of(by_rule[0])}  # the first is what `tir` without a detail means
    measured = sorted((milliseconds, text) for text, milliseconds in history if milliseconds < float("inf"))
    best = Tiling.from_json(json.loads(measured[0][1])) if measured else by_rule[0]
    ruled = (text_of(tiling) for tiling in by_rule)
    near = (text_of(tiling) for tiling in neighbours(best)) if measured else iter(())
    found: dict[str, None] = {}
    while len(found) < count:
        texts = [text for source in (ruled, near) if (text := _next_new(source, tried, found)) is not None]
        if not texts:
            break
        found |= dict.fromkeys(texts)
    return list(found)[:count]


def neighbours(tiling: Tiling) -> Iterator[Tiling]:
    """The same register tile, walked in other orders."""
    yield replace(tiling, columns_first=not tiling.columns_first)
    for unroll in _UNROLLS:
        yield replace(tiling, unroll=unroll)
    for unroll in _UNROLLS:
        yield replace(tiling, unroll=unroll, columns_first=not tiling.columns_first)


def text_of(tiling: Tiling) -> str:
    """Canonical text, as lowerings carry it."""
    return json.dumps(tiling.to_json(), sort_keys=True, separators=(",", ":"))


def _next_new(source: Iterator[str], tried: set[str], found: dict[str, None]) -> str | None:
    return next((text for text in source if text not in tried and text not in found), None)
