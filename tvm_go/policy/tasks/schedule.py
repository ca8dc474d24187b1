"""Schedule: a priority level for each op; ops of one level keep the order that they have by default."""

from __future__ import annotations

import torch
from torch import nn

from tvm_go.policy.batch import GraphBatch
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.modulation import Context, Modulated
from tvm_go.policy.tasks.task import Task


class Schedule(Task):
    """Units are ops, actions are levels."""

    def __init__(self, config: PolicyConfig, *, reads_back: bool) -> None:
        super().__init__(config, reads_back=reads_back)
        width, modulation = config.width, config.modulation
        self.hidden = Modulated(width, width, width, modulation=modulation)
        self.score = Modulated(width, config.levels, width, modulation=modulation)
        if reads_back:
            self.chosen = nn.Embedding(config.levels, width)

    def class_of(self, batch: GraphBatch) -> torch.Tensor:
        """The classes of all ops: int64 [N]."""
        return batch.colocation

    def logits(
        self, state: torch.Tensor, batch: GraphBatch, context: Context, earlier: torch.Tensor | None
    ) -> torch.Tensor:
        """float32 [B, N, K]; ``earlier`` is known from the state."""
        return self.score(torch.relu(self.hidden(state, context)), context)

    def embed(self, decision: torch.Tensor, batch: GraphBatch) -> torch.Tensor:
        """float32 [B, N, W]."""
        return self.chosen(decision)
