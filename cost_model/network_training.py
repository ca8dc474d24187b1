"""Learning the weights of a graph network on kernels, with DGL and torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cost_model.dataset import Inputs
from cost_model.features import Floats
from cost_model.kernel_ops import OpBatch
from cost_model.network import LAYERS, KernelNetwork, Scale

os.environ["DGLBACKEND"] = "pytorch"  # read by dgl when it is imported

import dgl
import torch
from dgl.nn import SAGEConv
from torch import nn

_WIDTH = 64
_BATCH, _RATE = 256, 4e-3  # kernels; Adam's largest step


class Layers(nn.Module):
    """What `cost_model.network` computes, with gradients."""

    def __init__(self, op_columns: int, row_columns: int) -> None:
        super().__init__()
        self.enter = nn.Linear(op_columns, _WIDTH)
        self.layers = nn.ModuleList(SAGEConv(_WIDTH, _WIDTH, "pool") for _ in range(LAYERS))
        self.leave = nn.Sequential(
            nn.Linear(2 * _WIDTH + row_columns, 2 * _WIDTH),
            nn.ReLU(),
            nn.Linear(2 * _WIDTH, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, 1),
        )

    def forward(self, batch: OpBatch, ops: torch.Tensor, rows: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """One number of each row, float32 [R].

        Parameters
        ----------
        batch : OpBatch
            Of B kernels, N ops.
        ops : float32 [N, D]
        rows : float32 [R, C]
        kernel : int64 [R]
            Which of the kernels each row is of.
        """
        edges = torch.from_numpy(batch.source), torch.from_numpy(batch.reader)
        graph = dgl.graph(edges, num_nodes=len(batch.ops))
        lengths = torch.from_numpy(batch.lengths)
        hidden = torch.relu(self.enter(ops))  # [N, W]
        for layer in self.layers:
            hidden = hidden + torch.relu(layer(graph, hidden))
        read = [dgl.ops.segment_reduce(lengths, hidden, reducer) for reducer in ("sum", "max")]  # [B, W] each
        return self.leave(torch.cat([torch.cat(read, dim=1)[kernel], rows], dim=1))[:, 0]


def train_network(inputs: Inputs, left: Floats, *, epochs: int, seed: int) -> KernelNetwork:
    """Learn what a sum of costs leaves over: logarithms (base 2), float64 [R]."""
    op_scale, row_scale = Scale.of(inputs.kernels.table[inputs.kernels.batch(inputs.kernel).ops]), Scale.of(inputs.rows)
    ops, rows = (
        torch.from_numpy(scale.apply(table))
        for scale, table in ((op_scale, inputs.kernels.table), (row_scale, inputs.rows))
    )
    target = torch.from_numpy(left.astype(np.float32))
    kernels, kernel = np.unique(inputs.kernel, return_inverse=True)
    rng = np.random.default_rng(seed)
    with _torch_of_one_seed(seed):
        layers = Layers(ops.shape[1], rows.shape[1])
        nn.init.constant_(layers.leave[-1].bias, float(np.median(left)))
        optimizer = torch.optim.Adam(layers.parameters())
        steps = epochs * -(-len(kernels) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
        for _ in range(epochs):
            for chosen in np.split(rng.permutation(len(kernels)), range(_BATCH, len(kernels), _BATCH)):
                chosen.sort()
                # A kernel's lowerings share what is known of its ops.
                of_these = np.flatnonzero(np.isin(kernel, chosen))
                batch = inputs.kernels.batch(kernels[chosen])
                which = torch.from_numpy(np.searchsorted(chosen, kernel[of_these]))
                found = layers(batch, ops[torch.from_numpy(batch.ops)], rows[of_these], which)
                optimizer.zero_grad()
                nn.functional.l1_loss(found, target[of_these]).backward()
                optimizer.step()
                schedule.step()
    weights = {name: tensor.numpy() for name, tensor in layers.state_dict().items()}
    return KernelNetwork(op_scale, row_scale, np.array([left.min(), left.max()]), weights)


@contextmanager
def _torch_of_one_seed(seed: int) -> Iterator[None]:
    """Layers draw their weights from torch's own generator; the graphs are small, more threads would only wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
