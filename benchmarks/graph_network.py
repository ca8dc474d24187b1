"""A graph network on the ops of kernels, for `benchmarks.cost_model`: whether the wiring tells more than the counts.

GraphSAGE with max-pooling (Hamilton et al., NeurIPS 2017, section 3.3) between ops that feed each other. What it reads
out of a kernel stands beside the row that the other ways see, and a sum of costs is left to add, as in the ensemble.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ["DGLBACKEND"] = "pytorch"  # read by dgl when it is imported

import dgl
import torch
from dgl.nn import SAGEConv
from torch import nn

from cost_model.additive import AdditiveModel
from cost_model.dataset import Dataset
from cost_model.features import Floats, op_table
from cost_model.structure import Structure, union
from tvm_go.graph import Int64, OpGraph, Pattern

_WIDTH, _LAYERS = 64, 3
_EPOCHS, _BATCH, _RATE = 60, 256, 3e-3
_FAR = 6.0  # standard deviations: what lies further out than anything learned from counts as that far


@dataclass(frozen=True)
class KernelOps:
    """K kernels as graphs of N ops and E edges, one kernel after the other.

    Attributes
    ----------
    number : dict
        Which of the kernels a key is.
    op_start, edge_start : int64 [K + 1]
        ``[op_start[k], op_start[k + 1])`` are the ops of kernel ``k``.
    table : float64 [N, D]
        What is known of each op.
    source, reader : int64 [E]
        Op that feeds and op that reads, counted from the first op of their kernel.
    """

    number: dict[str, int]
    op_start: Int64
    edge_start: Int64
    table: Floats
    source: Int64
    reader: Int64

    @staticmethod
    def of(structures: Mapping[str, Structure]) -> KernelOps:
        """Kernels by their keys."""
        graph, kernel = union(list(structures.values()))
        ends = np.arange(len(structures) + 1)
        op_start = np.searchsorted(kernel, ends)
        first = op_start[kernel[graph.edge_dst]]  # no edge leaves a kernel
        return KernelOps(
            number={key: number for number, key in enumerate(structures)},
            op_start=op_start,
            edge_start=np.searchsorted(kernel[graph.edge_dst], ends),
            table=_op_rows(graph),
            source=graph.edge_src - first,
            reader=graph.edge_dst - first,
        )

    def batch(self, which: Int64) -> tuple[Any, Int64, Int64]:
        """Some kernels as one graph, with edges both ways; the number of ops in each, and which of the N ops they are.

        Parameters
        ----------
        which : int64 [B]

        Returns
        -------
        DGLGraph
        int64 [B]
        int64 [ops of all B]
        """
        lengths = np.diff(self.op_start)[which]
        edges = _spans(self.edge_start, which)
        first = np.repeat(np.cumsum(lengths) - lengths, np.diff(self.edge_start)[which])
        source, reader = self.source[edges] + first, self.reader[edges] + first
        ends = np.concatenate([source, reader]), np.concatenate([reader, source])
        graph = dgl.graph(tuple(map(torch.from_numpy, ends)), num_nodes=int(lengths.sum()))
        return graph, lengths, _spans(self.op_start, which)


class Network(nn.Module):
    """From the ops of kernels, and their rows, to logarithms (base 2) of milliseconds over a sum of costs."""

    def __init__(self, op_columns: int, row_columns: int) -> None:
        super().__init__()
        self.enter = nn.Linear(op_columns, _WIDTH)
        self.layers = nn.ModuleList(SAGEConv(_WIDTH, _WIDTH, "pool") for _ in range(_LAYERS))
        self.leave = nn.Sequential(
            nn.Linear(2 * _WIDTH + row_columns, 2 * _WIDTH),
            nn.ReLU(),
            nn.Linear(2 * _WIDTH, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, 1),
        )

    def forward(self, graph: Any, lengths: torch.Tensor, ops: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.enter(ops))  # [ops, W]
        for layer in self.layers:
            hidden = hidden + torch.relu(layer(graph, hidden))
        read = [dgl.ops.segment_reduce(lengths, hidden, reducer) for reducer in ("sum", "max")]  # [B, W] each
        return self.leave(torch.cat([*read, rows], dim=1))[:, 0]  # [B]


@dataclass(frozen=True)
class Scale:
    """Brings columns to mean 0 and deviation 1; a column that never changed in what was learned from becomes 0.

    Attributes
    ----------
    middle, factor : float64 [C]
    """

    middle: Floats
    factor: Floats

    @staticmethod
    def of(table: Floats) -> Scale:
        """From rows to learn from: float64 [R, C]."""
        table = np.nan_to_num(table)
        deviation = table.std(axis=0)
        varies = deviation > 1e-9
        return Scale(table.mean(axis=0), varies / np.where(varies, deviation, 1.0))

    def apply(self, table: Floats) -> torch.Tensor:
        """Any rows: float32 [R, C]."""
        scaled = (np.nan_to_num(table) - self.middle) * self.factor
        return torch.from_numpy(np.clip(scaled, -_FAR, _FAR).astype(np.float32))


def by_network(
    kernels: KernelOps, data: Dataset, *, epochs: int = _EPOCHS, seed: int = 0
) -> Callable[[Floats, NDArray[np.str_]], Floats]:
    """Learn from measurements; gives milliseconds of rows and keys, which must be among the kernels."""
    torch.set_num_threads(1)  # the graphs are small: more threads would only wait for each other
    worked = data.take(np.isfinite(data.ms))
    which = _numbers(kernels, worked.keys)
    op_scale, row_scale = Scale.of(kernels.table[_spans(kernels.op_start, which)]), Scale.of(worked.rows)
    ops, rows = op_scale.apply(kernels.table), row_scale.apply(worked.rows)
    additive = AdditiveModel.fit(worked.rows, worked.ms)
    left = torch.from_numpy((np.log2(worked.ms) - additive.predict(worked.rows)).astype(np.float32))
    low, middle, high = np.quantile(left.numpy(), [0.0, 0.5, 1.0])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers draw their weights from torch's own generator
        network = Network(ops.shape[1], rows.shape[1])
        nn.init.constant_(network.leave[-1].bias, float(middle))

    def outputs(chosen: Int64, of_rows: torch.Tensor) -> torch.Tensor:
        graph, lengths, members = kernels.batch(chosen)
        return network(graph, torch.from_numpy(lengths), ops[torch.from_numpy(members)], of_rows)

    def loss(chosen: Int64) -> torch.Tensor:
        return nn.functional.l1_loss(outputs(which[chosen], rows[chosen]), left[chosen])

    _train(network, loss, len(worked), epochs, np.random.default_rng(seed))

    def predict(new_rows: Floats, keys: NDArray[np.str_]) -> Floats:
        numbers, scaled = _numbers(kernels, keys), row_scale.apply(new_rows)
        found = np.zeros(len(keys))
        with torch.no_grad():
            for start in range(0, len(keys), _BATCH):
                part = slice(start, start + _BATCH)
                found[part] = outputs(numbers[part], scaled[part]).numpy()
        return np.asarray(np.exp2(np.clip(found, low, high) + additive.predict(new_rows)))

    return predict


def _train(
    network: Network, loss: Callable[[Int64], torch.Tensor], count: int, epochs: int, rng: np.random.Generator
) -> None:
    """Fit in place; the loss is of some of the measurements, by their numbers below the count."""
    optimizer = torch.optim.Adam(network.parameters())
    steps = epochs * -(-count // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for _ in range(epochs):
        for chosen in np.split(rng.permutation(count), range(_BATCH, count, _BATCH)):
            optimizer.zero_grad()
            loss(chosen).backward()
            optimizer.step()
            schedule.step()


def _op_rows(graph: OpGraph) -> Floats:
    """What is known of each op: float64 [N, D]."""
    table = op_table(graph)
    constant = ~np.isnan(graph.value_scalar[graph.use_value])
    outside = ~constant & (graph.value_op[graph.use_value] < 0)
    read_bytes = graph.value_bytes[graph.use_value].astype(np.float64)

    def of_uses(weights: NDArray[Any]) -> Floats:
        return np.bincount(graph.use_op, weights=weights, minlength=graph.num_ops).astype(np.float64)

    amounts = [
        graph.flops,
        table.elements,
        table.out_bytes,
        of_uses(read_bytes * ~constant),
        of_uses(read_bytes * outside),
        of_uses(np.ones(len(constant))),
        of_uses(constant),
    ]
    return np.column_stack(
        [
            np.eye(len(graph.op_names))[graph.op_name],
            np.eye(max(Pattern) + 1)[graph.pattern],
            graph.pattern >= Pattern.REDUCTION,
            graph.free,
            graph.op_returned,
            *(np.log2(1.0 + amount) for amount in amounts),
            np.log2(1.0 + table.nest),
        ]
    )


def _numbers(kernels: KernelOps, keys: NDArray[np.str_]) -> Int64:
    return np.array([kernels.number[key] for key in keys.tolist()], dtype=np.int64)


def _spans(starts: Int64, which: Int64) -> Int64:
    """All numbers in ``[starts[k], starts[k + 1])``, for each ``k`` of which one after the other."""
    lengths = np.diff(starts)[which]
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts[which] - before, lengths)
