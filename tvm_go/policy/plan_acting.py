"""Acting on whole plans: a policy draws moves, each task told what the tasks before it do in the same move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from tvm_go.policy.inputs import GraphInput
from tvm_go.policy.move_choice import MoveChoice
from tvm_go.policy.plan_moves import PlanDraft, PlanMoves, Runs, changed, run_scores
from tvm_go.policy.policy import Policy


class Scene(NamedTuple):
    """A draft as the policy sees it."""

    graph: GraphInput
    draft: PlanDraft


@torch.no_grad()
def draw_plan_moves(policy: Policy, scene: Scene, count: int, rng: np.random.Generator) -> PlanMoves:
    """Draw moves in the tasks of the policy."""
    choice = MoveChoice(scene.draft, policy.config.tasks, count, rng)

    def decide(task: str, log_prob: torch.Tensor) -> torch.Tensor:
        candidates = choice.candidates(task)
        preference = run_scores(log_prob, scene.draft, task, candidates).double().numpy()
        chosen = choice.choose(task, candidates, preference)
        return torch.from_numpy(changed(scene.draft, task, chosen))

    policy.decide_again([scene.graph], [_decisions(scene.draft, policy)], decide)
    return choice.moves


def draw_random_moves(draft: PlanDraft, tasks: Sequence[str], count: int, rng: np.random.Generator) -> PlanMoves:
    """Draw moves in some tasks, in the order of the tasks, as a policy would that prefers nothing."""
    choice = MoveChoice(draft, tasks, count, rng)
    for task in tasks:
        indifferent = torch.zeros(1, *draft.actions[task].shape)
        candidates = choice.candidates(task)
        choice.choose(task, candidates, run_scores(indifferent, draft, task, candidates).double().numpy())
    return choice.moves


def plan_move_scores(policy: Policy, scenes: Sequence[Scene], moves: Sequence[PlanMoves]) -> torch.Tensor:
    """How much moves are preferred to no move, with gradients: float32 [G, B], equally many moves of each draft."""
    total = torch.zeros(len(scenes), len(moves[0]))

    def decide(task: str, log_prob: torch.Tensor) -> torch.Tensor:
        nonlocal total
        sizes = [len(scene.draft.decisions[task]) for scene in scenes]
        parts = log_prob.split(sizes, dim=1)
        each = zip(parts, scenes, moves, strict=True)
        total = total + torch.stack([_scores(part, scene, task, one) for part, scene, one in each])
        told = [one.decisions(scene.draft, task) for scene, one in zip(scenes, moves, strict=True)]
        return torch.from_numpy(np.concatenate(told, axis=1))

    policy.decide_again([scene.graph for scene in scenes], [_decisions(one.draft, policy) for one in scenes], decide)
    return total


def _scores(log_prob: torch.Tensor, scene: Scene, task: str, moves: PlanMoves) -> torch.Tensor:
    runs = moves.runs[task]
    each = Runs(*(part[:, None] for part in (runs.sequence, runs.begin, runs.end, runs.action)))
    return run_scores(log_prob, scene.draft, task, each)[:, 0]


def _decisions(draft: PlanDraft, policy: Policy) -> dict[str, torch.Tensor]:
    return {task: torch.from_numpy(draft.decisions[task]) for task in policy.config.tasks}
