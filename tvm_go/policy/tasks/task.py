"""Task: one kind of decision; a new one is one file beside this and a line in the registry."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from tvm_go.policy.batch import GraphBatch
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.modulation import Context

IMPOSSIBLE = -1e9
"""Logit of what a mask forbids: finite, so that a product with its probability, 0, is 0."""


class Task(nn.Module, ABC):
    """Scores the actions of U units of a graph, and tells the network what was decided.

    Parameters
    ----------
    config : PolicyConfig
    reads_back : bool
        Whether any layer will see decisions of this task; without, `embed` is never called.
    """

    @abstractmethod
    def __init__(self, config: PolicyConfig, *, reads_back: bool) -> None:
        super().__init__()

    @abstractmethod
    def class_of(self, batch: GraphBatch) -> torch.Tensor:
        """Colocation class that each unit belongs to: int64 [U]. The units of a graph follow each other."""

    @abstractmethod
    def logits(
        self, state: torch.Tensor, batch: GraphBatch, context: Context, earlier: torch.Tensor | None
    ) -> torch.Tensor:
        """Scores of all actions, `IMPOSSIBLE` where one is forbidden: float32 [B, U, A].

        Parameters
        ----------
        state : float32 [B, N, W]
        earlier : int64 [B, U], optional
            What the round before decided.
        """

    @abstractmethod
    def embed(self, decision: torch.Tensor, batch: GraphBatch) -> torch.Tensor:
        """What ops learn of a decision int64 [B, U]: float32 [B, N, W]."""
