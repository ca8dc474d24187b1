"""Acting by moves: a policy draws one move of a graph's draft for each sample, among many random candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from tvm_go.errors import UsageError
from tvm_go.policy.actions import Actions, Score
from tvm_go.policy.inputs import GraphInput
from tvm_go.policy.moves import Moves, draft_of, move_scores, moved, random_moves
from tvm_go.policy.sampling import drawn

CANDIDATES = 1024


@dataclass(frozen=True, eq=False)
class MoveActions(Actions):
    """B placements, each one move away from the draft; what was drawn is one thing, so C of the probabilities is 1.

    Attributes
    ----------
    candidates : Moves
        What was to choose from.
    chosen : int64 [B]
    """

    candidates: Moves
    chosen: torch.Tensor

    def rows(self, which: torch.Tensor) -> MoveActions:
        """Some of the samples."""
        rest = super().rows(which)
        assert isinstance(rest, MoveActions)
        return replace(rest, chosen=self.chosen[which])


def act_by_moves(
    pairs: torch.Tensor, graph: GraphInput, count: int, generator: torch.Generator, greedy: bool
) -> MoveActions:
    """Draw B = ``count`` moves by the log-probabilities of pairs, float32 [C, D]; the best ones if ``greedy``."""
    candidates = random_moves(graph.num_classes, graph.num_devices, CANDIDATES, generator)
    log_prob = _log_prob(pairs, graph, candidates)
    if greedy:
        chosen = log_prob.topk(min(count, CANDIDATES)).indices
    else:
        chosen = drawn(log_prob[None, None], count, generator)[:, 0]
    device = moved(*draft_of(graph), candidates.rows(chosen))
    taken = log_prob[chosen]
    return MoveActions({"placement": device[:, None]}, taken, taken[:, None], candidates, chosen)


def score_moves(pairs: torch.Tensor, value: torch.Tensor, graph: GraphInput, actions: Actions) -> Score:
    """How likely moves are by the log-probabilities of pairs, float32 [C, D], with gradients; ``value`` is a scalar.

    Raises
    ------
    UsageError
        If the actions are no moves.
    """
    if not isinstance(actions, MoveActions):
        raise UsageError(f"{graph.name} has a draft, but the actions are whole plans; draw them with the same draft")
    log_prob = _log_prob(pairs, graph, actions.candidates)
    taken = log_prob[actions.chosen]
    entropy = -(log_prob.exp() * log_prob).sum()
    count = len(actions)
    return Score(taken, taken[:, None], entropy.expand(count), value.expand(count))


def _log_prob(pairs: torch.Tensor, graph: GraphInput, moves: Moves) -> torch.Tensor:
    return torch.log_softmax(move_scores(pairs, *draft_of(graph), moves), dim=0)
