"""GraphBatch: several graphs as one, the ops of one after those of the other, as tensors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

os.environ.setdefault("DGLBACKEND", "pytorch")  # read by dgl when it is imported

import dgl

from tvm_go.policy.choice_batch import ChoiceBatch, collate_choices
from tvm_go.policy.form_batch import FormBatch, collate_forms
from tvm_go.policy.inputs import GraphInput
from tvm_go.policy.numbered import numbered


@dataclass(frozen=True, eq=False)
class Segments:
    """Ops cut into M segments of at most S, none across two graphs.

    Attributes
    ----------
    ops : int64 [M, S]
        Some op where a segment has no more.
    filled : bool [M, S]
        Whether there is one.
    before : int64 [M]
        The segment before; -1 for a graph's first.
    graph_of : int64 [M]
    """

    ops: torch.Tensor
    filled: torch.Tensor
    before: torch.Tensor
    graph_of: torch.Tensor

    @property
    def has_memory(self) -> bool:
        """Whether any segment has one before it."""
        return bool((self.before >= 0).any())


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """M graphs of N ops, E edges and C classes together; D is the largest number of devices among them.

    Attributes
    ----------
    forward, backward : dgl.DGLGraph
        From producers to readers, and the other way.
    num_ops, num_classes, num_devices : int64 [M]
    graph_of_op : int64 [N]
    graph_of_class : int64 [C]
    colocation : int64 [N]
        Classes are numbered through the batch.
    class_size : float32 [C]
    supported : bool [C, D]
        False for devices that a graph does not have.
    segments : Segments
    choices : ChoiceBatch, optional
        If all graphs have edges at which to fuse or not.
    forms : FormBatch, optional
        If all graphs come with the forms of their ops.

    The others are those of `GraphInput`, with a dimension for the graph where that has none.
    """

    forward: dgl.DGLGraph
    backward: dgl.DGLGraph
    num_ops: torch.Tensor
    num_classes: torch.Tensor
    num_devices: torch.Tensor
    graph_of_op: torch.Tensor
    graph_of_class: torch.Tensor
    colocation: torch.Tensor
    class_size: torch.Tensor
    supported: torch.Tensor
    op_features: torch.Tensor
    op_type: torch.Tensor
    device_features: torch.Tensor
    pair_features: torch.Tensor
    graph_features: torch.Tensor
    op_share: torch.Tensor
    byte_share: torch.Tensor
    travel: torch.Tensor
    room: torch.Tensor
    draft: torch.Tensor
    segments: Segments
    choices: ChoiceBatch | None = None
    forms: FormBatch | None = None

    @property
    def total_ops(self) -> int:
        return len(self.graph_of_op)


def collate(graphs: Sequence[GraphInput], segment: int) -> GraphBatch:
    """Put graphs together, with segments of so many ops."""
    num_ops = np.array([graph.num_ops for graph in graphs])
    num_classes = np.array([graph.num_classes for graph in graphs])
    first_op, first_class = np.cumsum(num_ops) - num_ops, np.cumsum(num_classes) - num_classes
    devices = max(graph.num_devices for graph in graphs)
    source = numbered([graph.edge_src for graph in graphs], first_op)
    reader = numbered([graph.edge_dst for graph in graphs], first_op)
    colocation = numbered([graph.colocation for graph in graphs], first_class)
    total = int(num_ops.sum())
    return GraphBatch(
        forward=dgl.graph((source, reader), num_nodes=total),
        backward=dgl.graph((reader, source), num_nodes=total),
        num_ops=torch.from_numpy(num_ops),
        num_classes=torch.from_numpy(num_classes),
        num_devices=torch.tensor([graph.num_devices for graph in graphs]),
        graph_of_op=torch.from_numpy(np.repeat(np.arange(len(graphs)), num_ops)),
        graph_of_class=torch.from_numpy(np.repeat(np.arange(len(graphs)), num_classes)),
        colocation=colocation,
        class_size=torch.bincount(colocation, minlength=int(num_classes.sum())).float(),
        supported=_joined([graph.supported for graph in graphs], 1, devices),
        op_features=_joined([graph.op_features for graph in graphs]),
        op_type=_joined([graph.op_type for graph in graphs]),
        device_features=_joined([graph.device_features[None] for graph in graphs], 1, devices),
        pair_features=_joined([graph.pair_features for graph in graphs], 1, devices),
        graph_features=_joined([graph.graph_features[None] for graph in graphs]),
        op_share=_joined([graph.op_share for graph in graphs]),
        byte_share=_joined([graph.byte_share for graph in graphs]),
        travel=_joined([graph.travel for graph in graphs]),
        room=_joined([graph.room[None] for graph in graphs], 1, devices),
        draft=_joined([graph.draft for graph in graphs]),
        segments=_segments(num_ops, first_op, min(segment, int(num_ops.max()))),
        choices=collate_choices([graph.choices for graph in graphs], first_op, first_class),
        forms=collate_forms([graph.forms for graph in graphs], first_op, first_class),
    )


def _joined(arrays: Sequence[NDArray[np.generic]], axis: int = 0, size: int = 0) -> torch.Tensor:
    """Along dimension 0, after all were filled up with zeros to a size along another."""
    if axis:
        arrays = [
            np.pad(array, [(0, size - array.shape[axis]) if i == axis else (0, 0) for i in range(array.ndim)])
            for array in arrays
        ]
    return torch.from_numpy(np.concatenate(arrays) if len(arrays) > 1 else arrays[0].copy())


def _segments(num_ops: NDArray[np.int64], first_op: NDArray[np.int64], size: int) -> Segments:
    counts = -(-num_ops // size)
    graph_of = np.repeat(np.arange(len(num_ops)), counts)
    number = np.arange(len(graph_of)) - np.repeat(np.cumsum(counts) - counts, counts)  # within its graph
    place = number[:, None] * size + np.arange(size)
    filled = place < num_ops[graph_of, None]
    return Segments(
        ops=torch.from_numpy(np.where(filled, place, 0) + first_op[graph_of, None]),
        filled=torch.from_numpy(filled),
        before=torch.from_numpy(np.where(number > 0, np.arange(len(graph_of)) - 1, -1)),
        graph_of=torch.from_numpy(graph_of),
    )
