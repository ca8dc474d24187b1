"""Fine-tuning on one model: changes that the policy finds likely are asked for, and it learns what they gave."""

from __future__ import annotations

import copy
import sys
from functools import partial

import numpy as np
import torch

from tvm_go.graph import Int32, Int64
from tvm_go.learn.descent import descend
from tvm_go.learn.fusion import Example, choices_of, costs_ms, imitation_loss
from tvm_go.policy import GraphInput, Policy
from tvm_go.search import Problem
from tvm_go.search.gains import gainful
from tvm_go.search.sites import moved

_CHANGES = 8  # asked for together, so that the builders have work
_SAMPLES = 64  # of the policy, from which it is seen how likely each change is
_TWO = 1 / 3  # of the changes are of two decisions
_LEAST = 0.02  # how likely any change is taken to be: the policy may be wrong
_LEARNING_RATE = 1e-3
_LARGEST_GRADIENT = 1.0
_IDLE = 12  # steps without a kernel that was not known


def finetune_fusion(
    policy: Policy, problem: Problem, graph: GraphInput, rng: np.random.Generator, *, steps: int = sys.maxsize
) -> None:
    """Take as many steps as the budget allows, or fewer; the problem keeps the best plan.

    In each step some plans are asked for that differ from the best one by a decision or two, and those that gain are
    taken. What the others lose weighs the policy's next lesson: to imitate the best plan, where it matters most.

    Parameters
    ----------
    policy : Policy
        It is not changed.
    graph : GraphInput
        Of the problem, by `tvm_go.policy.kernel_graph`.
    steps : int
        At most so many.

    Raises
    ------
    TrainingError
        If a loss is not finite.
    """
    choices = choices_of(graph)
    if not choices.num_units:
        return
    tuned = copy.deepcopy(policy)
    optimiser = torch.optim.Adam(tuned.parameters(), lr=_LEARNING_RATE)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))

    def changed(changes: Int64, kernel: Int32, one: int) -> Int32:
        for unit in np.flatnonzero(changes[one]):
            kernel = moved(problem, kernel, choices.edge[choices.unit == unit])
        return kernel

    kernel, kernel_ms = problem.best, problem.best_ms  # it may decide otherwise where edges of a unit differ by now
    regret = np.zeros(choices.num_units)
    idle = 0
    for _ in range(steps):
        if problem.exhausted:
            return
        if idle >= _IDLE:
            if not problem.doubt_more():
                return
            idle = 0
        before = problem.asked, problem.spent
        changes = _changes(tuned, graph, choices.merges(problem.graph, kernel), rng, generator)
        values = costs_ms(problem, [changed(changes, kernel, one) for one in range(len(changes))])
        for one in np.flatnonzero(np.isfinite(values) & (changes.sum(axis=1) == 1)):
            regret[changes[one] == 1] = abs(values[one] - kernel_ms) / problem.default_ms
        change = partial(changed, changes)
        kernel, kernel_ms = gainful(kernel, kernel_ms, values, change, lambda one: float(costs_ms(problem, [one])[0]))
        lesson = Example(graph, choices.merges(problem.graph, kernel), regret)
        descend(tuned, optimiser, imitation_loss(tuned, [lesson], generator), "model", _LARGEST_GRADIENT)
        idle = 0 if (problem.asked, problem.spent) > before else idle + 1


def _changes(
    policy: Policy, graph: GraphInput, here: Int64, rng: np.random.Generator, generator: torch.Generator
) -> Int64:
    """Changes of a decision or two, those more often that the policy finds likelier: 0 or 1 in int64 [B, U]."""
    drawn = policy.act(graph, _SAMPLES, generator).drawn["fusion"][:, -1].numpy()
    likely = np.maximum((drawn != here).mean(axis=0), _LEAST)
    each = np.eye(len(here), dtype=np.int64)
    changes = each[rng.choice(len(here), min(_CHANGES, len(here)), replace=False, p=likely / likely.sum())]
    second = each[rng.choice(len(here), len(changes), p=likely / likely.sum())]
    return np.where(rng.random((len(changes), 1)) < _TWO, changes | second, changes)
