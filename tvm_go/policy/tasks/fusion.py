"""Fusion: to merge or to cut, for each unit of alike edges; a unit starts from what TVM's FuseOps does there."""

from __future__ import annotations

import torch
from torch import nn

from tvm_go.policy.batch import GraphBatch
from tvm_go.policy.choice_batch import choices_of
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.modulation import Context, Modulated
from tvm_go.policy.tasks.task import Task

_HIDDEN = 64
_LEANING = 2.0  # logit of what FuseOps does, before anything is learned


class Fusion(Task):
    """Units are those of `EdgeChoices`; the actions are 0 to cut and 1 to merge."""

    def __init__(self, config: PolicyConfig, *, reads_back: bool) -> None:
        super().__init__(config, reads_back=reads_back)
        width, modulation = config.width, config.modulation
        self.source = Modulated(width, _HIDDEN, width, modulation=modulation)
        self.reader = Modulated(width, _HIDDEN, width, modulation=modulation)
        self.features = Modulated(config.unit_features, _HIDDEN, width, modulation=modulation)
        self.mix = Modulated(_HIDDEN, _HIDDEN, width, modulation=modulation)
        self.score = Modulated(_HIDDEN, 1, width, modulation=modulation)
        self.leaning = nn.Parameter(torch.tensor(_LEANING))
        if config.rounds > 1:
            self.earlier = nn.Embedding(2, _HIDDEN)
        if reads_back:
            self.to_source = nn.Embedding(2, width)
            self.to_reader = nn.Embedding(2, width)

    def class_of(self, batch: GraphBatch) -> torch.Tensor:
        """The class of one reader of each unit: int64 [U]."""
        return choices_of(batch).colocation

    def logits(
        self, state: torch.Tensor, batch: GraphBatch, context: Context, earlier: torch.Tensor | None
    ) -> torch.Tensor:
        """What both ends say, mean over the edges of a unit, and what is known of the unit: float32 [B, U, 2]."""
        choices = choices_of(batch)
        of_op = context.at(batch.graph_of_op)
        of_unit = context.at(batch.graph_of_class[choices.colocation])
        ends = self.source(state, of_op)[:, choices.source] + self.reader(state, of_op)[:, choices.reader]
        total = ends.new_zeros(len(ends), choices.num_units, _HIDDEN).index_add(1, choices.unit, ends)
        hidden = total / choices.unit_size[:, None] + self.features(choices.unit_features, of_unit)
        if earlier is not None:
            hidden = hidden + self.earlier(earlier)
        hidden = torch.relu(hidden)
        hidden = hidden + torch.relu(self.mix(hidden, of_unit))
        by_default = 2 * choices.merges_by_default.float() - 1
        merge = self.score(hidden, of_unit)[..., 0] + self.leaning * by_default
        return torch.stack([torch.zeros_like(merge), merge], dim=-1)

    def embed(self, decision: torch.Tensor, batch: GraphBatch) -> torch.Tensor:
        """Whether what it makes and what it reads stay in its kernel, mean over an op's edges: float32 [B, N, W]."""
        choices = choices_of(batch)
        of_edge = decision[:, choices.unit]
        ends = torch.cat([choices.source, choices.reader])
        told = torch.cat([self.to_source(of_edge), self.to_reader(of_edge)], dim=1)
        total = told.new_zeros(len(told), batch.total_ops, told.shape[-1]).index_add(1, ends, told)
        return total / torch.bincount(ends, minlength=batch.total_ops).clamp(min=1)[:, None]
