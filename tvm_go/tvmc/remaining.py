"""How long a tuning run may still take."""

from __future__ import annotations

import math

from tvm_go.run_record import RunRecord

_ASKING = ("default", "variants", "search")


def remaining_s(run: RunRecord, budget: int, seconds: float) -> float | None:
    """Seconds that the search, or the tuning of kernels, goes on at most; None where nothing tells.

    What is left of the budget takes as long as what was measured; what the log knows takes no time.

    Parameters
    ----------
    budget : int
        Kernels that may be asked for.
    seconds : float
        Time limit of the search and of the tuning of kernels together.
    """
    starts = {start.name: start for start in run.stages}
    if run.stage == "tune":
        since, left = starts["tune"], run.progress.kernel_trials - run.progress.trials
        measured = run.times - since.times
    elif run.stage in _ASKING:
        since, left, measured = starts["default"], budget - len(run.kernels), len(run.measured_kernels)
    else:
        return None
    found = [max(0, left) * (run.seconds - since.seconds) / measured] if measured else []
    if seconds < math.inf and "search" in starts:
        found.append(max(0.0, seconds - (run.seconds - starts["search"].seconds)))
    return min(found, default=None)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
