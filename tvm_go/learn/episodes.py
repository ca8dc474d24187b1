"""Episodes: plans that a policy draws for one graph in one step, evaluated and rewarded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tvm_go.graph import Int32
from tvm_go.learn.reward import Baseline, rewards
from tvm_go.policy import Actions, GraphInput, Policy
from tvm_go.simulate.workload import Floats

#: Milliseconds of some placements, float64 [B]: devices int32 [B, N] and priorities float64 [B or 1, N] are given.
Evaluate = Callable[[Int32, Floats], Floats]


@dataclass(frozen=True, eq=False)
class Exercise:
    """One graph that plans can be drawn for.

    Attributes
    ----------
    graph : GraphInput
        What the policy sees.
    order : float64 [N]
        Priorities among ops of equal level; larger goes first.
    reference_ms : float
        Time of a plan with reward -1.
    evaluate : Evaluate
    """

    name: str
    graph: GraphInput
    order: Floats
    reference_ms: float
    evaluate: Evaluate


@dataclass(frozen=True, eq=False)
class Episodes:
    """Plans drawn for one graph, and what came of them.

    Attributes
    ----------
    milliseconds, reward, advantage : float64 [B]
        ``inf``, `tvm_go.learn.reward.INFEASIBLE` and the largest loss for a plan that is not feasible.
    """

    exercise: Exercise
    actions: Actions
    milliseconds: Floats
    reward: Floats
    advantage: Floats


def draw(
    policy: Policy, exercise: Exercise, baseline: Baseline, count: int, generator: torch.Generator
) -> tuple[Episodes, Baseline]:
    """Draw plans and evaluate them; also the baseline that has seen them."""
    actions = policy.act(exercise.graph, count, generator)
    milliseconds = plans_ms(exercise.evaluate, actions, exercise.graph, exercise.order)
    reward = rewards(milliseconds, exercise.reference_ms)
    baseline = baseline.updated(reward)
    return Episodes(exercise, actions, milliseconds, reward, baseline.advantages(reward)), baseline


def plans_ms(evaluate: Evaluate, actions: Actions, graph: GraphInput, order: Floats) -> Floats:
    """Milliseconds of each plan, float64 [B]; ``inf`` for one that is not feasible.

    Parameters
    ----------
    order : float64 [N]
        Priorities among ops of equal level; larger goes first.
    """
    priorities = actions.priorities(order)
    return evaluate(actions.devices(graph), order[None] if priorities is None else priorities)
