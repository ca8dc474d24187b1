"""Placement: a device for each colocation class. Pairs of op and device are scored: any number of devices will do."""

from __future__ import annotations

import torch
from dgl import DGLGraph
from dgl import function as fn
from torch import nn

from tvm_go.policy.batch import GraphBatch
from tvm_go.policy.chunks import in_chunks
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.inputs import DEVICE_FEATURES, PAIR_FEATURES
from tvm_go.policy.modulation import Context, Modulated
from tvm_go.policy.tasks.task import IMPOSSIBLE, Task

_HIDDEN = 32
_EARLIER = 5  # columns of `_around`
_FLOATS_PER_PAIR = 4 * _HIDDEN
_FULL = 3.0  # times the memory of a device: more than that is as bad


class Placement(Task):
    """Units are classes, actions are devices."""

    def __init__(self, config: PolicyConfig, *, reads_back: bool) -> None:
        super().__init__(config, reads_back=reads_back)
        width, modulation = config.width, config.modulation
        self.op = Modulated(width, _HIDDEN, width, modulation=modulation)
        self.device = Modulated(DEVICE_FEATURES, _HIDDEN, width, modulation=modulation)
        self.pair = Modulated(PAIR_FEATURES, _HIDDEN, width, modulation=modulation)
        self.earlier = Modulated(_EARLIER, _HIDDEN, width, modulation=modulation)
        self.mix = Modulated(_HIDDEN, _HIDDEN, width, modulation=modulation)
        self.score = Modulated(_HIDDEN, 1, width, modulation=modulation, bias=False)  # equal for all devices
        if reads_back:
            self.chosen = nn.Linear(DEVICE_FEATURES + PAIR_FEATURES, width)

    def class_of(self, batch: GraphBatch) -> torch.Tensor:
        """Units are classes: int64 [C]."""
        return torch.arange(len(batch.supported))

    def logits(
        self, state: torch.Tensor, batch: GraphBatch, context: Context, earlier: torch.Tensor | None
    ) -> torch.Tensor:
        """Mean over the ops of a class: float32 [B, C, D]. Before the first round the draft is what was decided."""
        of_device = self.device(batch.device_features, context.at(torch.arange(len(batch.num_ops))[:, None]))
        earlier = batch.draft[None] if earlier is None else earlier
        around = _around(earlier[:, batch.colocation], batch)

        def part(first: int, last: int) -> torch.Tensor:
            graph_of = batch.graph_of_op[first:last]
            pairs = context.at(graph_of[:, None])
            hidden = self.op(state[:, first:last], context.at(graph_of))[:, :, None] + of_device[graph_of]
            hidden = hidden + self.pair(batch.pair_features[first:last], pairs)
            hidden = hidden + self.earlier(around[:, first:last], pairs)
            hidden = torch.relu(hidden)  # [B, n, D, hidden]
            hidden = hidden + torch.relu(self.mix(hidden, pairs))
            return self.score(hidden, pairs)[..., 0]

        rows = max(len(state), len(earlier))
        devices = batch.supported.shape[1]
        of_op = in_chunks(part, batch.total_ops, rows * devices * _FLOATS_PER_PAIR)
        total = of_op.new_zeros(len(of_op), len(batch.supported), devices).index_add(1, batch.colocation, of_op)
        return (total / batch.class_size[:, None]).masked_fill(~batch.supported, IMPOSSIBLE)

    def embed(self, decision: torch.Tensor, batch: GraphBatch) -> torch.Tensor:
        """The features of the device, alone and together with the op: float32 [B, N, W]."""
        device = decision[:, batch.colocation]
        of_pair = batch.pair_features[torch.arange(batch.total_ops), device]
        of_device = batch.device_features[batch.graph_of_op, device]
        return self.chosen(torch.cat([of_device, of_pair], dim=-1))


@torch.no_grad()
def _around(device: torch.Tensor, batch: GraphBatch) -> torch.Tensor:
    """What an earlier placement, -1 where there is none, means for each op and device: [B, N, D, `_EARLIER`].

    Whether the op was there; logarithms of what would travel to it from producers that were there, and from it to
    readers there; the load of the device over the mean, and how full it was.
    """
    rows, devices = len(device), batch.supported.shape[1]
    there = (device[..., None] == torch.arange(devices)).float()  # [B, N, D]
    flat = there.transpose(0, 1).flatten(1)  # [N, B D]
    travel = batch.travel[:, None]
    moved_in = _sum(batch.forward, flat * travel).unflatten(1, (rows, devices)).transpose(0, 1)
    moved_out = (_sum(batch.backward, flat) * travel).unflatten(1, (rows, devices)).transpose(0, 1)
    slower = torch.exp(2 * batch.pair_features[..., 0])
    work = there * (batch.op_share[:, None] * slower)
    load = _per_graph(work, batch) * batch.num_devices[:, None]
    full = (_per_graph(there * batch.byte_share[:, None], batch) / batch.room.clamp(min=1e-6)).clamp(max=_FULL)
    of_graph = torch.stack([torch.log1p(load), full], dim=-1)[:, batch.graph_of_op]
    of_op = torch.stack([there, torch.log1p(moved_in), torch.log1p(moved_out)], dim=-1)
    return torch.cat([of_op, of_graph], dim=-1)


def _sum(graph: DGLGraph, values: torch.Tensor) -> torch.Tensor:
    """Sum over the ops from which an edge leads to an op: [N, ...]."""
    with graph.local_scope():
        graph.ndata["value"] = values
        graph.update_all(fn.copy_u("value", "m"), fn.sum("m", "sum"))
        return graph.ndata["sum"]


def _per_graph(values: torch.Tensor, batch: GraphBatch) -> torch.Tensor:
    """[B, M, D] from [B, N, D]."""
    total = values.new_zeros(len(values), len(batch.num_ops), values.shape[2])
    return total.index_add(1, batch.graph_of_op, values)
