"""Training a policy that fuses: imitation of the best known plans of many graphs, then PPO by what plans take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from tvm_go.learn.descent import descend, half_cosine, set_rate, some_of
from tvm_go.learn.fusion import FusionLesson, choices_of, imitation_loss
from tvm_go.learn.journal import Row
from tvm_go.learn.one_thread import one_thread
from tvm_go.learn.ppo import PPOConfig
from tvm_go.learn.reinforce import reinforce
from tvm_go.learn.run import RunOptions, run
from tvm_go.learn.run_state import RunState
from tvm_go.policy import Policy
from tvm_go.policy.inputs import OP_TYPES


@dataclass(frozen=True)
class FusionTraining:
    """How to train.

    Attributes
    ----------
    steps : int
        All of them; ``imitation_steps`` are the first.
    graphs_per_step : int
        Graphs of one batch, drawn from all.
    imitation_rate, learning_rate : float
        Of Adam, while imitating and afterwards. The former falls to nothing, as half a cosine.
    weight_decay : float
    forgotten : float
        Share of the types of ops whose names are left out, in every other lesson while imitating: so that the policy
        knows what to do with ops that it never saw, which come without a name.
    """

    steps: int = 300
    imitation_steps: int = 300
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
    optimiser = torch.optim.AdamW(policy.parameters(), lr=config.imitation_rate, weight_decay=config.weight_decay)
    take_step = partial(_step, lessons=lessons, config=config)
    return run(policy, optimiser, lessons, take_step, asdict(config), rng, options or RunOptions())


@one_thread()
def expected_speedup(policy: Policy, lessons: Sequence[FusionLesson]) -> float:
    """Time of TVM's default over that of the policy's likeliest plan: geometric mean, 0 if one is expected to fail."""
    generator = torch.Generator().manual_seed(0)
    relative = [
        lesson.plans_ms(policy.act(lesson.graph, 1, generator, greedy=True))[0] / lesson.reference_ms
        for lesson in lessons
    ]
    return float(np.exp(-np.mean(np.log(relative))))


def _step(state: RunState, lessons: Sequence[FusionLesson], config: FusionTraining) -> Row:
    batch = some_of(lessons, config.graphs_per_step, state.rng)
    if state.step >= config.imitation_steps:
        set_rate(state.optimiser, config.learning_rate)
        return reinforce(state, batch, config.ppo, state.step - config.imitation_steps)
    set_rate(state.optimiser, half_cosine(config.imitation_rate, state.step, config.imitation_steps))
    forgetful = [_forgetful(lesson, config.forgotten, state.rng) for lesson in batch]
    loss = imitation_loss(state.policy, forgetful, state.generator)
    names = " and ".join(lesson.name for lesson in batch)
    descend(state.policy, state.optimiser, loss, names, config.ppo.largest_gradient)
    return {"imitation_loss": float(loss.detach())}


def _forgetful(lesson: FusionLesson, share: float, rng: np.random.Generator) -> FusionLesson:
    """Half of the time, a lesson in which some types of ops have no names; half of those come without expectations."""
    if rng.random() < 0.5:
        return lesson
    lost = rng.random(OP_TYPES) < share
    graph = replace(lesson.graph, op_type=np.where(lost[lesson.graph.op_type], 0, lesson.graph.op_type))
    if rng.random() < 0.5:
        graph = replace(graph, choices=choices_of(graph).without_gains)
    return replace(lesson, graph=graph)
