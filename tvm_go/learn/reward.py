"""Rewards of plans, what a change gains, and the moving baseline of each graph that turns them into advantages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvm_go.simulate.workload import Floats

#: Of a placement that is not feasible: out of memory, a device that cannot run an op, a class that is split.
INFEASIBLE = -10.0
_DECAY = 0.8
_LARGEST_LOSS = 0.5  # reward below the baseline that still counts: an infeasible placement must not drown all others


@dataclass(frozen=True)
class Baseline:
    """Moving average of what the feasible placements of one graph were rewarded with.

    Infeasible ones are left out: their -10 says how often the policy fails, not how good its placements are.
    """

    mean: float = float("nan")

    def updated(self, reward: Floats) -> Baseline:
        """The baseline after some more rewards, float64 [B]."""
        feasible = reward[reward > INFEASIBLE]
        if not len(feasible):
            return self
        now = float(feasible.mean())
        return Baseline(now if np.isnan(self.mean) else _DECAY * self.mean + (1 - _DECAY) * now)

    def advantages(self, reward: Floats) -> Floats:
        """By how much rewards are above the average, float64 [B]; 0 while nothing feasible was ever seen."""
        if np.isnan(self.mean):
            return np.zeros_like(reward)
        return np.maximum(reward - self.mean, -_LARGEST_LOSS)


def rewards(milliseconds: Floats, reference_ms: float) -> Floats:
    """``-sqrt(time / reference)``, as GO has it (Zhou et al., NeurIPS 2020, section 3.3), or `INFEASIBLE`: float64 [B].

    Parameters
    ----------
    milliseconds : float64 [B]
        ``inf`` where a placement is not feasible.
    reference_ms : float
        Time of the placement that a reward of -1 stands for: that of the strategy ``expert``. Where it has none, that
        of all ops one after another, each on its quickest device. See `tvm_go.learn.lesson`.
    """
    feasible = np.isfinite(milliseconds)
    relative = np.where(feasible, milliseconds, 0.0) / (reference_ms or 1.0)
    return np.where(feasible, -np.sqrt(relative), INFEASIBLE)


def gains(milliseconds: Floats, before_ms: float) -> Floats:
    """Share of the time before that each change saves, float64 [B]; 0 where it saves nothing."""
    return np.maximum(1 - milliseconds / max(before_ms, 1e-300), 0.0)
