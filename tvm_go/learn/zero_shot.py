"""Zero-shot: the plan that a policy makes for a graph at once, without learning anything from it."""

from __future__ import annotations

import numpy as np
import torch

from tvm_go.learn.episodes import plans_ms
from tvm_go.learn.lesson import standard_orders
from tvm_go.policy import GraphInput, Policy
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.workload import Floats

_SAMPLES = 14  # with one plan in two orders, that is as many evaluations as a step of fine-tuning
_MOST_OPS = 4_000_000  # of all samples together


def zero_shot(policy: Policy, problem: PlacementProblem, graph: GraphInput, rng: np.random.Generator) -> Floats:
    """Evaluate the most likely plan in each standard order, and a few samples in the better order.

    Parameters
    ----------
    graph : GraphInput
        Of the problem's workload and machine.

    Returns
    -------
    float64 [N]
        That order: larger goes first.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    orders = standard_orders(problem.workload, problem.machine, problem.objective)
    likely = policy.act(graph, 1, generator, greedy=True)
    values = [float(plans_ms(problem.evaluate, likely, graph, one)[0]) for one in orders if not problem.exhausted]
    order = orders[int(np.argmin(values))] if values else orders[0]
    count = min(_SAMPLES, max(_MOST_OPS // problem.workload.num_ops, 1))
    count = min(count, problem.budget.evaluations - problem.evaluations)
    if not problem.exhausted:
        plans_ms(problem.evaluate, policy.act(graph, count, generator), graph, order)
    return order
