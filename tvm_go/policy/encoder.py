"""The encoder: GraphSAGE with max-pool aggregation, over producers and over readers.

Hamilton et al., "Inductive representation learning on large graphs" (NeurIPS 2017), section 3.3.
"""

from __future__ import annotations

import torch
from dgl import DGLGraph
from dgl import function as fn
from torch import nn
from torch.utils.checkpoint import checkpoint

from tvm_go.errors import UsageError
from tvm_go.policy.batch import GraphBatch
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.inputs import OP_TYPES
from tvm_go.policy.modulation import Context, Modulated, Pooling

_TYPE_WIDTH = 16
_LARGE = 20_000  # ops; beyond that, what lies inside a layer is computed again on the way back, and not kept


class Encoder(nn.Module):
    """Ops -> embeddings of width W, and an embedding of each graph."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.op_type = nn.Embedding(OP_TYPES, _TYPE_WIDTH, padding_idx=0)
        self.input = nn.Linear(config.op_features + _TYPE_WIDTH, config.width)
        self.input_pooling = Pooling(config.width, config.graph_features, config.width)
        self.layers = nn.ModuleList(SageLayer(config) for _ in range(config.graph_layers))
        self.norm = nn.LayerNorm(config.width)
        self.pooling = Pooling(config.width, config.graph_features, config.width)

    def forward(self, batch: GraphBatch) -> tuple[torch.Tensor, Context]:
        """Return embeddings float32 [N, W], and the context for layers that come after."""
        expected = self.input.in_features - _TYPE_WIDTH
        if batch.op_features.shape[1] != expected:
            raise UsageError(
                f"this policy sees {expected} features of an op and a graph has {batch.op_features.shape[1]}; describe "
                "it by `plan_input` for a policy that improves plans, by `kernel_graph` for one that only fuses, by "
                "`graph_input` for others"
            )
        x = self.input(torch.cat([batch.op_features, self.op_type(batch.op_type)], dim=-1))
        context = Context(self.input_pooling(x, batch), batch.graph_of_op)
        for layer in self.layers:
            if torch.is_grad_enabled() and len(x) > _LARGE:
                x = checkpoint(layer, x, batch, context, use_reentrant=False)
            else:
                x = layer(x, batch, context)
        x = self.norm(x)
        return x, Context(self.pooling(x, batch), batch.graph_of_op)


class SageLayer(nn.Module):
    """Each op learns the largest of what its producers say, and of what its readers say."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        width, modulation = config.width, config.modulation
        self.norm = nn.LayerNorm(width)
        self.to_readers = Modulated(width, width, width, modulation=modulation)
        self.to_producers = Modulated(width, width, width, modulation=modulation)
        self.own = Modulated(width, width, width, modulation=modulation)
        self.from_producers = Modulated(width, width, width, modulation=modulation)
        self.from_readers = Modulated(width, width, width, modulation=modulation)
        self.out = Modulated(width, width, width, modulation=modulation)

    def forward(self, x: torch.Tensor, batch: GraphBatch, context: Context) -> torch.Tensor:
        """float32 [N, W], the same shape as ``x``."""
        normed = self.norm(x)
        hidden = self.own(normed, context)
        hidden = hidden + self.from_producers(_largest(batch.forward, self.to_readers(normed, context)), context)
        hidden = hidden + self.from_readers(_largest(batch.backward, self.to_producers(normed, context)), context)
        return x + self.out(torch.relu(hidden), context)


def _largest(graph: DGLGraph, message: torch.Tensor) -> torch.Tensor:
    """Largest positive part of all messages that arrive, 0 where none does: float32 [N, W]."""
    with graph.local_scope():
        graph.ndata["message"] = torch.relu(message)
        graph.update_all(fn.copy_u("message", "m"), fn.max("m", "largest"))
        return graph.ndata["largest"]
