"""The learned strategy: quick strategies draft, the policy improves the best draft, first as it is, then fine-tuned.

Zhou et al., "Transferable Graph Optimizers for ML Compilers" (NeurIPS 2020): a policy that was trained on many graphs
places one that it never saw, and learns from this one graph as far as the budget goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tvm_go.search.placement.drafts import drafts
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.search.shipped_policy import FOLDER, load_shipped

if TYPE_CHECKING:  # brings torch and DGL, which only this strategy needs
    from tvm_go.policy import Policy

#: The policy that comes with the package.
SHIPPED = FOLDER / "placement.pt"
_ROUNDS = 4


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Place by the policy that comes with the package, then fine-tune until the budget is spent.

    Raises
    ------
    UsageError
        If torch or DGL is not installed, or the package came without a policy.
    """
    search_with(load_shipped(SHIPPED, "placement", "benchmarks.train_placement").policy, problem, rng)


def search_with(policy: Policy, problem: PlacementProblem, rng: np.random.Generator) -> None:
    """As :func:`search`, by a policy of one's own."""
    from tvm_go.learn.finetune import finetune

    if not problem.workload.num_ops:
        problem.evaluate(np.empty((1, 0), dtype=np.int32))
        return
    zero_shot(policy, problem, rng)
    if len(problem.best):
        finetune(policy, problem, rng)


def zero_shot(policy: Policy, problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Begin with the best draft of the quick strategies, then let the policy improve it a few times.

    Nothing is done if no quick strategy finds anything feasible.
    """
    import torch

    from tvm_go.learn.finetune import exercise_of_best, step

    take_drafts(problem, rng)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    if not len(problem.best) or problem.machine.num_devices < 2:
        return
    exercise = exercise_of_best(problem)
    for _ in range(_ROUNDS):
        if not problem.exhausted and step(policy, exercise, problem, generator).gain.any():
            exercise = exercise_of_best(problem)


def take_drafts(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Evaluate what the quick strategies find; what they evaluated themselves counts."""
    for one in drafts(problem.workload, problem.machine, problem.objective, rng):
        if not problem.exhausted:
            problem.evaluations += one.evaluations - 1
            problem.evaluate(one.best[None], one.best_priority[None] if len(one.best_priority) else None)
