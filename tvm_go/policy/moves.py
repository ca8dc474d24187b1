"""Moves: a run of neighbouring colocation classes goes to one device. So a policy improves a draft, step by step.

A policy scores all pairs of class and device in one forward pass; a move is as good as its pairs are on average,
against those of the draft. Classes that were drawn each for itself would scatter over the devices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tvm_go.graph import Int64
from tvm_go.policy.inputs import GraphInput
from tvm_go.policy.run_sums import run_sums
from tvm_go.policy.tasks.task import IMPOSSIBLE
from tvm_go.search.placement._order import renumbered
from tvm_go.simulate import Workload


@dataclass(frozen=True, eq=False)
class Moves:
    """M runs of classes, each with the device that it goes to: int64 [M].

    Attributes
    ----------
    sequence : int64 [M]
        In which order of the classes they are neighbours, see `class_sequences`.
    begin, end : int64 [M]
        Places in that order.
    device : int64 [M]
    """

    sequence: torch.Tensor
    begin: torch.Tensor
    end: torch.Tensor
    device: torch.Tensor

    def __len__(self) -> int:
        return len(self.device)

    def rows(self, which: torch.Tensor) -> Moves:
        """Some of them: int64 or bool, as torch indexes by."""
        return Moves(self.sequence[which], self.begin[which], self.end[which], self.device[which])


def class_sequences(workload: Workload) -> Int64:
    """Orders in which a run of C classes may make sense: int64 [2, C]; by number, and depth first along the graph."""
    by_number = np.arange(workload.num_classes)
    place = renumbered(workload, workload.colocation)[workload.class_first]
    return np.stack([by_number, np.argsort(place, kind="stable")])


def draft_of(graph: GraphInput) -> tuple[torch.Tensor, torch.Tensor]:
    """Device of each class, int64 [C], and the orders of the classes, int64 [2, C]."""
    return torch.from_numpy(graph.draft.copy()), torch.from_numpy(graph.sequences.copy())


def random_moves(num_classes: int, num_devices: int, count: int, generator: torch.Generator) -> Moves:
    """Draw moves: all lengths up to half of the classes, evenly by their logarithms."""
    luck = torch.rand(4, count, generator=generator, dtype=torch.float64)
    longest = max(num_classes / 2, 1.0)
    length = torch.exp(luck[0] * np.log(longest)).long().clamp(1, num_classes)
    begin = (luck[1] * (num_classes - length + 1)).long()
    return Moves((luck[2] * 2).long(), begin, begin + length, (luck[3] * num_devices).long())


def moved(draft: torch.Tensor, sequences: torch.Tensor, moves: Moves) -> torch.Tensor:
    """The placements after each move alone: int64 [M, C] from int64 [C] and [K, C]."""
    place = torch.argsort(sequences, dim=1)[moves.sequence]  # [M, C]
    inside = (place >= moves.begin[:, None]) & (place < moves.end[:, None])
    return torch.where(inside, moves.device[:, None], draft)


def move_scores(log_prob: torch.Tensor, draft: torch.Tensor, sequences: torch.Tensor, moves: Moves) -> torch.Tensor:
    """How much the policy prefers each move to the draft: float32 [M], `IMPOSSIBLE` where nothing would change.

    Parameters
    ----------
    log_prob : float32 [C, D]
        Of the devices of each class.
    """
    gain = log_prob - log_prob.gather(1, draft[:, None])
    stays = torch.nn.functional.one_hot(draft, log_prob.shape[1]).to(log_prob.dtype)
    runs = (moves.sequence, moves.begin, moves.end, moves.device)
    total_gain, total_stays = (run_sums(values[None], sequences, 0, runs) for values in (gain, stays))
    length = moves.end - moves.begin
    return torch.where(total_stays < length, total_gain / length, IMPOSSIBLE)
