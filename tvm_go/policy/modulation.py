"""Feature modulation: every dense layer's input is gated by what kind of graph it is.

Cheung et al., "Superposition of many models into one" (NeurIPS 2019), as Zhou et al. use it in GO (section 3.3): graphs
share the weights, and the gates keep what was learned on one kind of graph from being undone by another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from tvm_go.policy.batch import GraphBatch


class Context(NamedTuple):
    """Which graph each row belongs to, and what that graph is like.

    Attributes
    ----------
    embedding : float32 [M, W]
        Of each graph of the batch.
    graph_of : int64 [..., rows, 1 ...]
        Broadcasts to all but the last dimension of what it goes with.
    """

    embedding: torch.Tensor
    graph_of: torch.Tensor

    def at(self, graph_of: torch.Tensor) -> Context:
        """The same graphs for other rows."""
        return Context(self.embedding, graph_of)


class Modulated(nn.Module):
    """A dense layer, its input gated by the graph's embedding unless it is made without."""

    def __init__(self, inputs: int, outputs: int, context: int, *, modulation: bool, bias: bool = True) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs, bias=bias)
        self.gate = nn.Linear(context, inputs) if modulation else None

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """[..., outputs] from [..., inputs]."""
        if self.gate is None:
            return self.dense(x)
        gate = 1 + torch.tanh(self.gate(context.embedding))  # [M, inputs]
        if len(gate) == 1:  # the weights take the gate up: no product as large as x
            return nn.functional.linear(x, self.dense.weight * gate, self.dense.bias)
        return self.dense(x * gate[context.graph_of])


class Pooling(nn.Module):
    """The embedding of a graph: from the mean over its ops, and from what is known of it as a whole."""

    def __init__(self, inputs: int, graph_features: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs + graph_features, width)

    def forward(self, x: torch.Tensor, batch: GraphBatch) -> torch.Tensor:
        """float32 [M, W] from float32 [N, inputs]."""
        total = x.new_zeros(len(batch.num_ops), x.shape[-1]).index_add(0, batch.graph_of_op, x)
        mean = total / batch.num_ops[:, None]
        return torch.tanh(self.dense(torch.cat([mean, batch.graph_features], dim=-1)))
