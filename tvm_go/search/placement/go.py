"""The learned strategy: one forward pass for a whole plan, the best of a few samples, then fine-tuning.

Zhou et al., "Transferable Graph Optimizers for ML Compilers" (NeurIPS 2020): a policy that was trained on many graphs
places one that it never saw, and learns from this one graph as far as the budget goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.search.placement._construct import offer
from tvm_go.search.placement.metis import plan_with_room
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.workload import Floats

if TYPE_CHECKING:  # both bring torch and DGL, which only this strategy needs
    from tvm_go.policy import GraphInput, Policy

#: The policy that comes with the package.
SHIPPED = Path(__file__).parents[2] / "policy" / "shipped" / "placement.pt"
_SAMPLES = 14  # with one plan in two orders, that is as many evaluations as a step of fine-tuning
_MOST_OPS = 4_000_000  # of all samples together


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
    from tvm_go.policy import graph_input

    if not problem.workload.num_ops:
        problem.evaluate(np.empty((1, 0), dtype=np.int32))
        return
    graph = graph_input(problem.workload, problem.machine, problem.objective)
    order = zero_shot(policy, problem, graph, rng)
    finetune(policy, problem, graph, order, rng)


def zero_shot(policy: Policy, problem: PlacementProblem, graph: GraphInput, rng: np.random.Generator) -> Floats:
    """Evaluate the most likely plan in each standard order, then a few samples in the better order.

    If the most likely plan is not feasible, classes that have no room on their devices move to where there is some.

    Parameters
    ----------
    graph : GraphInput
        Of the problem's workload and machine.

    Returns
    -------
    float64 [N]
        That order: larger goes first.
    """
    import torch

    from tvm_go.learn.episodes import plans_ms
    from tvm_go.learn.lesson import standard_orders

    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    orders = standard_orders(problem.workload, problem.machine, problem.objective)
    likely = policy.act(graph, 1, generator, greedy=True)
    values = [float(plans_ms(problem.evaluate, likely, graph, one)[0]) for one in orders if not problem.exhausted]
    order = orders[int(np.argmin(values))] if values else orders[0]
    if not np.isfinite(problem.best_value) and not problem.exhausted:
        offer(problem, plan_with_room(problem, likely.device[0].numpy().astype(np.int32)))
        order = problem.best_priority if len(problem.best_priority) else orders[0]
    count = min(_SAMPLES, max(_MOST_OPS // problem.workload.num_ops, 1))
    count = min(count, problem.budget.evaluations - problem.evaluations)
    if not problem.exhausted:
        plans_ms(problem.evaluate, policy.act(graph, count, generator), graph, order)
    return order
