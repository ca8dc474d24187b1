"""Training a policy that places, over many graphs: imitation of what is known to be good, then PPO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from tvm_go.learn.descent import backward, set_rate, some_of
from tvm_go.learn.imitation import imitation_loss
from tvm_go.learn.improvements import improvement_loss
from tvm_go.learn.journal import Row
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.ppo import PPOConfig
from tvm_go.learn.reinforce import reinforce
from tvm_go.learn.run import RunOptions, run
from tvm_go.learn.run_state import RunState
from tvm_go.policy import Policy


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    steps : int
        All of them; ``imitation_steps`` are the first.
    graphs_per_step : int
        Graphs of one batch, drawn from all.
    imitation_rate, learning_rate : float
        Of Adam, while imitating and afterwards.
    """

    steps: int = 1000
    imitation_steps: int = 500
    graphs_per_step: int = 8
    imitation_rate: float = 1e-3
    learning_rate: float = 3e-4
    ppo: PPOConfig = field(default_factory=PPOConfig)


def train(
    policy: Policy,
    lessons: Sequence[Lesson],
    config: TrainConfig,
    rng: np.random.Generator,
    options: RunOptions | None = None,
) -> dict[str, Any]:
    """Train a policy in place. The same policy, lessons, settings and generator give the same weights.

    Returns
    -------
    dict
        The record of the training; see `tvm_go.learn.run.run`, also for how it ends.

    Raises
    ------
    UsageError
        If there is nothing to learn from, the folder's run does not fit, or the folder cannot be written.
    TrainingError
        If a loss is not finite. The last run saved stays as it is.
    """
    take_step = partial(_step, lessons=lessons, config=config)
    return run(
        policy, torch.optim.Adam(policy.parameters()), lessons, take_step, asdict(config), rng, options or RunOptions()
    )


def _step(state: RunState, lessons: Sequence[Lesson], config: TrainConfig) -> Row:
    imitates = state.step < config.imitation_steps
    set_rate(state.optimiser, config.imitation_rate if imitates else config.learning_rate)
    batch = some_of(lessons, config.graphs_per_step, state.rng)
    if imitates:
        return _imitate(state, batch, config)
    return reinforce(state, batch, config.ppo, state.step - config.imitation_steps)


def _imitate(state: RunState, lessons: Sequence[Lesson], config: TrainConfig) -> Row:
    """One step of the optimiser on the best known placements of some graphs, all together: they differ widely."""
    state.optimiser.zero_grad(set_to_none=True)
    total = 0.0
    drafts = [(lesson.exercise, lesson.improvements) for lesson in lessons if lesson.improvements is not None]
    if drafts:
        loss = improvement_loss(state.policy, drafts)
        backward(state.policy, loss * len(drafts) / len(lessons), drafts[0][0].name)
        total += float(loss.detach()) * len(drafts) / len(lessons)
    for lesson in lessons:
        target = state.known[lesson.name].target
        if len(target) and lesson.improvements is None:
            loss = imitation_loss(state.policy, lesson.exercise, target, state.generator)
            backward(state.policy, loss / len(lessons), lesson.name)
            total += float(loss.detach()) / len(lessons)
    torch.nn.utils.clip_grad_norm_(state.policy.parameters(), config.ppo.largest_gradient)
    state.optimiser.step()
    return {"imitation_loss": total}
