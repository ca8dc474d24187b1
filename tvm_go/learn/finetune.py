"""Fine-tuning: PPO on one graph, from a policy that knows others; the best plan drawn is kept."""

from __future__ import annotations

import copy
import sys

import numpy as np
import torch

from tvm_go.learn.alike import alike_devices, canonical
from tvm_go.learn.episodes import Exercise, draw
from tvm_go.learn.imitation import imitation_loss
from tvm_go.learn.lesson import first_ops
from tvm_go.learn.ppo import PPOConfig, backward, update
from tvm_go.learn.reward import Baseline
from tvm_go.policy import GraphInput, Policy
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.workload import Floats

_CONFIG = PPOConfig()
_LEARNING_RATE = 3e-3
_ENTROPY = 1e-3


def finetune(
    policy: Policy,
    problem: PlacementProblem,
    graph: GraphInput,
    order: Floats,
    rng: np.random.Generator,
    *,
    steps: int = sys.maxsize,
) -> None:
    """Take as many steps as the budget allows, or fewer; the problem keeps the best plan that was drawn.

    In each step the policy learns from 16 plans by their rewards, and from the best placement so far by imitation.

    Parameters
    ----------
    policy : Policy
        It is not changed.
    graph : GraphInput
        Of the problem's workload and machine.
    order : float64 [N]
        Priorities among ops of equal level.
    steps : int
        At most so many.

    Raises
    ------
    TrainingError
        If a loss is not finite.
    """
    tuned = copy.deepcopy(policy)
    optimiser = torch.optim.Adam(tuned.parameters(), lr=_LEARNING_RATE)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    alike = alike_devices(problem.machine)
    work_ms = float(problem.machine.op_ms(problem.workload).min(axis=1).sum())
    reference_ms = problem.best_value if np.isfinite(problem.best_value) else work_ms
    exercise = Exercise(problem.workload.name, graph, order, reference_ms, problem.evaluate)
    baseline = Baseline()
    for _ in range(steps if not problem.exhausted else 0):
        left = problem.budget.evaluations - problem.evaluations
        episodes, baseline = draw(tuned, exercise, baseline, min(_CONFIG.samples, left), generator)
        if problem.exhausted:
            break
        update(tuned, optimiser, [episodes], _CONFIG, _ENTROPY, rng)
        if len(problem.best):
            target = canonical(problem.best[first_ops(problem.workload)].astype(np.int64), alike)
            optimiser.zero_grad(set_to_none=True)
            backward(tuned, imitation_loss(tuned, exercise, target, generator), exercise.name)
            torch.nn.utils.clip_grad_norm_(tuned.parameters(), _CONFIG.largest_gradient)
            optimiser.step()
