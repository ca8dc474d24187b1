"""The learned strategy: one forward pass for a whole plan, the best of a few samples, then fine-tuning.

Zhou et al., "Transferable Graph Optimizers for ML Compilers" (NeurIPS 2020): a policy that was trained on many graphs
places one that it never saw, and learns from this one graph as far as the budget goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.search.placement.problem import PlacementProblem

if TYPE_CHECKING:  # both bring torch and DGL, which only this strategy needs
    from tvm_go.policy import Policy

#: The policy that comes with the package.
SHIPPED = Path(__file__).parents[2] / "policy" / "shipped" / "placement.pt"


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Place by the policy that comes with the package, then fine-tune until the budget is spent.

    Raises
    ------
    UsageError
        If torch or DGL is not installed, or the package came without a policy.
    """
    from tvm_go.policy import load_policy

    if not SHIPPED.exists():
        raise UsageError(
            f"strategy 'go' finds no policy at {SHIPPED}; "
            "train one: python -m benchmarks.train_placement --minutes 60 --ship"
        )
    search_with(load_policy(SHIPPED, ("placement",)).policy, problem, rng)


def search_with(policy: Policy, problem: PlacementProblem, rng: np.random.Generator) -> None:
    """As :func:`search`, by a policy of one's own."""
    from tvm_go.learn.finetune import finetune
    from tvm_go.learn.zero_shot import zero_shot
    from tvm_go.policy import graph_input

    if not problem.workload.num_ops:
        problem.evaluate(np.empty((1, 0), dtype=np.int32))
        return
    graph = graph_input(problem.workload, problem.machine, problem.objective)
    order = zero_shot(policy, problem, graph, rng)
    finetune(policy, problem, graph, order, rng)
