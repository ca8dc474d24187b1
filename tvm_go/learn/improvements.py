"""Improvements: moves of a draft with what each gains. A policy imitates those that gain, by how much they gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tvm_go.learn.episodes import Exercise
from tvm_go.learn.reward import gains
from tvm_go.policy import Policy
from tvm_go.policy.moves import Moves, draft_of, move_scores, moved, random_moves
from tvm_go.simulate.workload import Floats


@dataclass(frozen=True, eq=False)
class Improvements:
    """M moves of a draft.

    Attributes
    ----------
    milliseconds : float64 [M]
        After each move.
    gain : float64 [M]
        Share of the draft's time that a move saves; 0 where it saves nothing.
    """

    moves: Moves
    milliseconds: Floats
    gain: Floats


def try_moves(
    draft: torch.Tensor,
    sequences: torch.Tensor,
    num_devices: int,
    evaluate: Callable[[torch.Tensor], Floats],
    count: int,
    generator: torch.Generator,
) -> Improvements:
    """Evaluate random moves of a draft, int64 [C]; ``evaluate`` gives milliseconds [B] of placements, int64 [B, C]."""
    moves = random_moves(len(draft), num_devices, count, generator)
    milliseconds = evaluate(torch.cat([draft[None], moved(draft, sequences, moves)]))
    return Improvements(moves, milliseconds[1:], gains(milliseconds[1:], float(milliseconds[0])))


def improvement_loss(policy: Policy, lessons: Sequence[tuple[Exercise, Improvements]]) -> torch.Tensor:
    """Divergence of what the policy would choose among the moves from a choice by gain; nats, mean over the drafts.

    Each draft has a move that gains.
    """
    pairs, _ = policy.pairs_on([exercise.graph for exercise, _ in lessons])
    total = torch.zeros(())
    for of_graph, (exercise, improvements) in zip(pairs, lessons, strict=True):
        scores = move_scores(of_graph, *draft_of(exercise.graph), improvements.moves)
        total = total + choice_loss(scores, improvements.gain)
    return total / len(lessons)


def choice_loss(scores: torch.Tensor, gain: Floats) -> torch.Tensor:
    """Divergence of a choice by scores [..., M] from one by gain, float64 [..., M]: nats, a scalar, summed over drafts.

    Each draft has a move that gains.
    """
    wanted = torch.from_numpy(gain / gain.sum(axis=-1, keepdims=True)).float()
    return torch.nn.functional.kl_div(torch.log_softmax(scores, dim=-1), wanted, reduction="sum")
