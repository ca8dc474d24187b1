"""Segment-recurrent attention over the ops in topological order, without positions.

Dai et al., "Transformer-XL: attentive language models beyond a fixed-length context" (ACL 2019), section 3.2. What a
layer remembers of the segment before is that segment's own input, which is known for all segments at once when there is
one layer: so they need no loop.
"""

from __future__ import annotations

import torch
from torch import nn

from tvm_go.policy.batch import Segments
from tvm_go.policy.chunks import in_chunks
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.modulation import Context, Modulated

_FLOATS_PER_OP = 12  # times the width: about what one op needs between input and output


class RecurrentAttention(nn.Module):
    """One layer: each op attends to its segment and to the one before, which passes no gradient on; then a dense part.

    Without attention only the dense part is left.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        width, modulation = config.width, config.modulation
        self.heads = config.heads
        if config.attention:
            self.norm = nn.LayerNorm(width)
            self.query = Modulated(width, width, width, modulation=modulation)
            self.key_value = Modulated(width, 2 * width, width, modulation=modulation)
            self.mix = Modulated(width, width, width, modulation=modulation)
        self.attention = config.attention
        self.dense_norm = nn.LayerNorm(width)
        self.widen = Modulated(width, 2 * width, width, modulation=modulation)
        self.narrow = Modulated(2 * width, width, width, modulation=modulation)

    def forward(self, x: torch.Tensor, segments: Segments, context: Context) -> torch.Tensor:
        """float32 [B, N, W], the same shape as ``x``."""

        def part(first: int, last: int) -> torch.Tensor:
            ops, filled = segments.ops[first:last], segments.filled[first:last]
            here = context.at(segments.graph_of[first:last, None])
            own = x[:, ops]  # [B, M, S, W]
            if self.attention:
                own = own + self._attend(x, own, segments, first, last, here)
            own = own + self.narrow(torch.relu(self.widen(self.dense_norm(own), here)), here)
            return own.flatten(1, 2)[:, filled.flatten()]  # segments fill up in order, so this is the order of ops

        count, size = segments.ops.shape
        return in_chunks(part, count, len(x) * size * x.shape[-1] * _FLOATS_PER_OP)

    def _attend(
        self, x: torch.Tensor, own: torch.Tensor, segments: Segments, first: int, last: int, context: Context
    ) -> torch.Tensor:
        normed = self.norm(own)
        key_value = self.key_value(normed, context)
        readable = segments.filled[first:last]  # [M, S]
        if segments.has_memory:
            before = segments.before[first:last]
            memory = self.norm(x.detach()[:, segments.ops[before]])  # a graph's first segment: any, and masked
            key_value = torch.cat([self.key_value(memory, context), key_value], dim=2)
            readable = torch.cat([segments.filled[before] & (before >= 0)[:, None], readable], dim=1)
        key, value = (self._by_head(part) for part in key_value.chunk(2, dim=-1))
        mask = readable.repeat(len(x), 1)[:, None, None]  # [B M, 1, 1, keys]
        read = nn.functional.scaled_dot_product_attention(
            self._by_head(self.query(normed, context)), key, value, attn_mask=mask
        )
        return self.mix(read.transpose(1, 2).reshape(own.shape), context)

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        """[B M, heads, S, W / heads] from [B, M, S, W]."""
        return x.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)
