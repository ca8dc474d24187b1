"""Draw decisions, and gather how likely they were, sample by sample and graph by graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tvm_go.policy.actions import Actions, Score
from tvm_go.policy.batch import GraphBatch
from tvm_go.policy.tasks.task import IMPOSSIBLE


def drawn(log_prob: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw an action for every unit, by Gumbel's trick: int64 [B, U] from [B or 1, U, A]."""
    luck = torch.empty(count, *log_prob.shape[1:]).exponential_(generator=generator)
    return (log_prob - luck.log()).argmax(dim=-1)


class Walk:
    """What one walk through all tasks and rounds decided, for M graphs together."""

    def __init__(self, batch: GraphBatch, count: int) -> None:
        self._batch = batch
        self._count = count
        self._drawn: dict[str, list[torch.Tensor]] = {}
        self._classes: dict[str, torch.Tensor] = {}
        self._log_prob = torch.zeros(count, len(batch.supported))
        self._entropy = torch.zeros(count, len(batch.num_ops))
        self._choices = torch.zeros(len(batch.num_ops))

    def add(self, task: str, class_of: torch.Tensor, log_prob: torch.Tensor, decision: torch.Tensor) -> None:
        """Take note of decisions int64 [B or 1, U] with log-probabilities of all actions, [B or 1, U, A]."""
        decision = decision.expand(self._count, -1)
        self._drawn.setdefault(task, []).append(decision)
        self._classes[task] = class_of
        taken = log_prob.expand(self._count, -1, -1).gather(-1, decision[..., None])[..., 0]
        self._log_prob = self._log_prob.index_add(1, class_of, taken)
        graph_of = self._batch.graph_of_class[class_of]
        entropy = -(log_prob.exp() * log_prob).sum(dim=-1).expand(self._count, -1)
        self._entropy = self._entropy.index_add(1, graph_of, entropy)
        has_choice = ((log_prob > IMPOSSIBLE / 2).sum(dim=-1) > 1)[0].float()
        self._choices = self._choices.index_add(0, graph_of, has_choice)

    def actions(self) -> list[Actions]:
        """By graph."""
        by_task = {task: per_graph(torch.stack(turns, dim=1), self._units(task)) for task, turns in self._drawn.items()}
        return [
            Actions({task: parts[i] for task, parts in by_task.items()}, log_prob.sum(dim=-1), log_prob)
            for i, log_prob in enumerate(per_graph(self._log_prob, self._batch.num_classes.tolist()))
        ]

    def scores(self, value: torch.Tensor) -> list[Score]:
        """By graph, with the value of each, float32 [M]."""
        entropy = self._entropy / self._choices.clamp(min=1)
        return [
            Score(log_prob.sum(dim=-1), log_prob, entropy[:, i], value[i].expand(self._count))
            for i, log_prob in enumerate(per_graph(self._log_prob, self._batch.num_classes.tolist()))
        ]

    def _units(self, task: str) -> list[int]:
        graph_of = self._batch.graph_of_class[self._classes[task]]
        counts: list[int] = torch.bincount(graph_of, minlength=len(self._batch.num_ops)).tolist()
        return counts


def per_graph(values: torch.Tensor, sizes: Sequence[int]) -> list[torch.Tensor]:
    """Cut the last dimension into the parts of the graphs."""
    return list(values.split(list(sizes), dim=-1))
