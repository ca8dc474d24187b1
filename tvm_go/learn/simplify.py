"""Simpler placements that are as quick: what a search moved without any gain is noise to whoever learns from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tvm_go.graph import Int64
from tvm_go.simulate.workload import Floats

_MOST_EVALUATIONS = 500
_SLACK = 1e-3  # of the time: what a simpler placement may cost


def simplified(device: Int64, evaluate: Callable[[Int64], Floats]) -> tuple[Int64, float]:
    """Join short runs of classes with their neighbours, as long as that costs next to nothing.

    Parameters
    ----------
    device : int64 [C]
        Device of each colocation class, feasible.
    evaluate : callable
        Milliseconds of some such placements, int64 [B, C].

    Returns
    -------
    device : int64 [C]
    milliseconds : float
    """
    value_ms = float(evaluate(device[None])[0])
    limit_ms = value_ms * (1 + _SLACK)
    evaluations, progress = 1, True
    while progress:
        progress = False
        begins = np.concatenate([[0], np.flatnonzero(np.diff(device)) + 1, [len(device)]])
        for run in np.argsort(np.diff(begins), kind="stable"):
            first, last = begins[run], begins[run + 1]
            others = {int(device[i]) for i in (first - 1, last) if 0 <= i < len(device)} - {int(device[first])}
            if not others or evaluations >= _MOST_EVALUATIONS:
                continue
            joined = np.repeat(device[None], len(others), axis=0)
            joined[:, first:last] = np.array(sorted(others))[:, None]
            values = evaluate(joined)
            evaluations += len(joined)
            best = int(np.argmin(values))
            if values[best] <= limit_ms:
                device, value_ms, progress = joined[best], float(values[best]), True
                limit_ms = min(limit_ms, value_ms * (1 + _SLACK))
    return device, value_ms
