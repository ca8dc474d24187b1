"""Training a policy that fuses: imitation of the best known plans of many graphs, then PPO by what plans take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tvm_go.errors import UsageError
from tvm_go.learn.descent import descend, half_cosine, set_rate, some_of
from tvm_go.learn.episodes import draw
from tvm_go.learn.fusion import FusionLesson, choices_of, imitation_loss
from tvm_go.learn.journal import Journal
from tvm_go.learn.one_thread import one_thread
from tvm_go.learn.ppo import PPOConfig, entropy_weight, update
from tvm_go.learn.reward import Baseline
from tvm_go.learn.run_state import record_of
from tvm_go.policy import Policy
from tvm_go.policy.inputs import OP_TYPES


@dataclass(frozen=True)
class FusionTraining:
    """How to train. A run takes minutes, and is not made to be resumed.

    Attributes
    ----------
    imitation_steps, steps : int
        Of imitation, and of PPO after them.
    graphs_per_step : int
        Graphs of one batch, drawn from all.
    imitation_rate, learning_rate : float
        Of Adam, while imitating and afterwards. The former falls to nothing, as half a cosine.
    weight_decay : float
    forgotten : float
        Share of the types of ops whose names are left out, in every other lesson while imitating: so that the policy
        knows what to do with ops that it never saw, which come without a name.
    """

    imitation_steps: int = 300
    steps: int = 0
    graphs_per_step: int = 8
    imitation_rate: float = 3e-3
    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    forgotten: float = 0.5
    ppo: PPOConfig = field(default_factory=PPOConfig)


def train_fusion(
    policy: Policy,
    lessons: Sequence[FusionLesson],
    config: FusionTraining,
    rng: np.random.Generator,
    *,
    folder: Path | None = None,
    seconds: float = float("inf"),
) -> dict[str, Any]:
    """Train a policy in place. The same policy, lessons, settings and generator give the same weights.

    Parameters
    ----------
    folder : Path, optional
        Of the journal.
    seconds : float
        Ends the run early.

    Returns
    -------
    dict
        The record of the training, as `tvm_go.policy.save_policy` takes it.

    Raises
    ------
    UsageError
        If there is nothing to learn from.
    TrainingError
        If a loss is not finite.
    """
    if not lessons:
        raise UsageError("there is no graph to learn from; name at least one model")
    optimiser = torch.optim.AdamW(policy.parameters(), lr=config.imitation_rate, weight_decay=config.weight_decay)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    baselines = [Baseline() for _ in lessons]
    curve: list[dict[str, float]] = []
    began = time.monotonic()
    with Journal(folder) as journal, one_thread():
        for step in range(config.imitation_steps + config.steps):
            if time.monotonic() - began > seconds:
                break
            which = some_of(range(len(lessons)), config.graphs_per_step, rng)
            batch = [lessons[i] for i in which]
            if step < config.imitation_steps:
                set_rate(optimiser, half_cosine(config.imitation_rate, step, config.imitation_steps))
                forgetful = [_forgetful(lesson, config.forgotten, rng) for lesson in batch]
                loss = imitation_loss(policy, forgetful, generator)
                names = " and ".join(lesson.name for lesson in batch)
                descend(policy, optimiser, loss, names, config.ppo.largest_gradient)
                row = {"imitation_loss": float(loss.detach())}
            else:
                set_rate(optimiser, config.learning_rate)
                episodes = []
                for i in which:
                    drawn, baselines[i] = draw(policy, lessons[i], baselines[i], config.ppo.samples, generator)
                    episodes.append(drawn)
                entropy = entropy_weight(config.ppo, step - config.imitation_steps)
                row = asdict(update(policy, optimiser, episodes, config.ppo, entropy, rng))
            journal.write(step, row)
            curve.append(row)
    return record_of(policy, [lesson.name for lesson in lessons], asdict(config), curve)


def _forgetful(lesson: FusionLesson, share: float, rng: np.random.Generator) -> FusionLesson:
    """Half of the time, a lesson in which some types of ops have no names; half of those come without expectations."""
    if rng.random() < 0.5:
        return lesson
    lost = rng.random(OP_TYPES) < share
    graph = replace(lesson.graph, op_type=np.where(lost[lesson.graph.op_type], 0, lesson.graph.op_type))
    if rng.random() < 0.5:
        graph = replace(graph, choices=choices_of(graph).without_gains)
    return replace(lesson, graph=graph)
