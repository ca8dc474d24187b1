"""Learning by reward: a step of PPO on plans that the policy draws for some graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

import numpy as np

from tvm_go.graph import Int64
from tvm_go.learn.episodes import Episodes, Learned, draw
from tvm_go.learn.journal import Row
from tvm_go.learn.ppo import PPOConfig, entropy_weight, update
from tvm_go.learn.run_state import RunState
from tvm_go.policy import Actions


class Lesson(Learned, Protocol):
    """A graph to learn from, of which a good plan is known."""

    @property
    def target(self) -> Int64: ...

    @property
    def target_ms(self) -> float: ...

    def decided(self, actions: Actions, row: int) -> Int64:
        """Decisions of one of some plans, as the target has them."""


def reinforce(state: RunState, lessons: Sequence[Lesson], config: PPOConfig, step: int) -> Row:
    """Draw plans, remember what is better than what was known, and learn from them all.

    Parameters
    ----------
    step : int
        How often this was done before.
    """
    batch: list[Episodes] = []
    gaps: dict[str, float] = {}
    for lesson in lessons:
        known = state.known[lesson.name]
        episodes, known.baseline = draw(state.policy, lesson, known.baseline, config.samples, state.generator)
        best = int(np.argmin(episodes.milliseconds))
        best_ms = float(episodes.milliseconds[best])
        if best_ms < known.best_ms:
            known.best_ms = best_ms
            known.target = lesson.decided(episodes.actions, best)
        if known.best_ms > 0 and best_ms < np.inf:
            gaps[f"gap/{lesson.name}"] = best_ms / known.best_ms - 1
        batch.append(episodes)
    statistics = update(state.policy, state.optimiser, batch, config, entropy_weight(config, step), state.rng)
    return {**asdict(statistics), **gaps}
