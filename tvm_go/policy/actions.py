"""What a policy decided for a graph, and what it thinks of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tvm_go.graph import Int32
from tvm_go.policy.inputs import GraphInput


@dataclass(frozen=True, eq=False)
class Actions:
    """B samples of all decisions for one graph of N ops in C colocation classes.

    Attributes
    ----------
    drawn : mapping of str to int64 tensor [B, T, U]
        By task, what each round decided for each of the task's units: classes for ``placement``, ops for ``schedule``.
        The last round counts; those before it are kept because the policy's probability of a sample depends on them.
    log_prob : float32 [B]
        Of a sample, all tasks and rounds together, when it was drawn.
    log_prob_per_class : float32 [B, C]
        The same, by class; the rows sum up to ``log_prob``.
    """

    drawn: Mapping[str, torch.Tensor]
    log_prob: torch.Tensor
    log_prob_per_class: torch.Tensor

    def __len__(self) -> int:
        return len(self.log_prob)

    @property
    def device(self) -> torch.Tensor:
        """Device of each class: int64 [B, C]. Only for policies with the task ``placement``."""
        return self.drawn["placement"][:, -1]

    @property
    def level(self) -> torch.Tensor | None:
        """Priority level of each op, larger goes first: int64 [B, N]; None without the task ``schedule``."""
        return self.drawn["schedule"][:, -1] if "schedule" in self.drawn else None

    def devices(self, graph: GraphInput) -> Int32:
        """Device of each op, as the simulator takes it: int32 [B, N]."""
        return self.device.numpy()[:, graph.colocation].astype(np.int32)

    def priorities(self, default: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Priority of each op, as the simulator takes it: float64 [B, N]; None without the task ``schedule``.

        Parameters
        ----------
        default : float64 [N]
            Decides between ops of one level, see `tvm_go.simulate.objectives.default_priority`.
        """
        if self.level is None:
            return None
        rank = np.unique(default, return_inverse=True)[1].reshape(-1)
        return self.level.numpy() + rank / (rank.max(initial=0) + 1.0)

    def rows(self, which: torch.Tensor) -> Actions:
        """Some of the samples: ``which`` is int64 or bool, as torch indexes by."""
        return replace(
            self,
            drawn={task: drawn[which] for task, drawn in self.drawn.items()},
            log_prob=self.log_prob[which],
            log_prob_per_class=self.log_prob_per_class[which],
        )


class Score(NamedTuple):
    """What a policy thinks of B samples; all carry gradients.

    Attributes
    ----------
    log_prob : float32 [B]
    log_prob_per_class : float32 [B, C]
    entropy : float32 [B]
        Nats, mean over all decisions that had a choice.
    value : float32 [B]
        What reward is expected of this graph, before anything is decided: the same for all samples.
    """

    log_prob: torch.Tensor
    log_prob_per_class: torch.Tensor
    entropy: torch.Tensor
    value: torch.Tensor
