"""Episodes: plans that a policy draws for one graph in one step, evaluated and rewarded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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

    def plans_ms(self, actions: Actions) -> Floats:
        """Milliseconds of each plan, float64 [B]; ``inf`` for one that is not feasible."""
        priorities = actions.priorities(self.order)
        return self.evaluate(actions.devices(self.graph), self.order[None] if priorities is None else priorities)


class Learned(Protocol):
    """A graph to learn from, whatever it is that is decided there."""

    @property
    def name(self) -> str: ...

    @property
    def graph(self) -> GraphInput: ...

    @property
    def reference_ms(self) -> float: ...

    def plans_ms(self, actions: Actions) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Episodes:
    """Plans drawn for one graph, and what came of them.

    Attributes
    ----------
    milliseconds, reward, advantage : float64 [B]
        ``inf``, `tvm_go.learn.reward.INFEASIBLE` and the largest loss for a plan that is not feasible.
    """

    exercise: Learned
    actions: Actions
    milliseconds: Floats
    reward: Floats
    advantage: Floats


def draw(
    policy: Policy, exercise: Learned, baseline: Baseline, count: int, generator: torch.Generator
) -> tuple[Episodes, Baseline]:
    """Draw plans and evaluate them; also the baseline that has seen them."""
    actions = policy.act(exercise.graph, count, generator)
    milliseconds = exercise.plans_ms(actions)
    reward = rewards(milliseconds, exercise.reference_ms)
    baseline = baseline.updated(reward)
    return Episodes(exercise, actions, milliseconds, reward, baseline.advantages(reward)), baseline
