"""ChoiceBatch: the edges at which to fuse or not of several graphs, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from tvm_go.errors import UsageError
from tvm_go.graph import Int64
from tvm_go.policy.edge_choices import EdgeChoices
from tvm_go.policy.numbered import numbered

if TYPE_CHECKING:
    from tvm_go.policy.batch import GraphBatch


@dataclass(frozen=True, eq=False)
class ChoiceBatch:
    """E edges in U units of graphs of N ops together.

    Attributes
    ----------
    source, reader, unit : int64 [E]
        Numbered through the batch.
    unit_size : float32 [U]
        Edges of each unit.
    colocation : int64 [U]

    The others are those of `EdgeChoices`.
    """

    source: torch.Tensor
    reader: torch.Tensor
    unit: torch.Tensor
    unit_size: torch.Tensor
    unit_features: torch.Tensor
    merges_by_default: torch.Tensor
    colocation: torch.Tensor

    @property
    def num_units(self) -> int:
        return len(self.colocation)


def collate_choices(choices: Sequence[EdgeChoices | None], first_op: Int64, first_class: Int64) -> ChoiceBatch | None:
    """Put the choices of graphs together; None if a graph has none to offer.

    Parameters
    ----------
    first_op, first_class : int64 [M]
        Number of each graph's first op and class in the batch.
    """
    parts = [one for one in choices if one is not None]
    if len(parts) < len(choices):
        return None
    counts = np.array([one.num_units for one in parts])
    first_unit = np.cumsum(counts) - counts
    unit = numbered([one.unit for one in parts], first_unit)
    return ChoiceBatch(
        source=numbered([one.source for one in parts], first_op),
        reader=numbered([one.reader for one in parts], first_op),
        unit=unit,
        unit_size=torch.bincount(unit, minlength=int(counts.sum())).float(),
        unit_features=torch.from_numpy(np.concatenate([one.unit_features for one in parts])),
        merges_by_default=torch.from_numpy(np.concatenate([one.merges_by_default for one in parts])),
        colocation=numbered([one.colocation for one in parts], first_class),
    )


def choices_of(batch: GraphBatch) -> ChoiceBatch:
    """The choices of a batch, for a policy that has the task ``fusion``.

    Raises
    ------
    UsageError
        If a graph came without.
    """
    if batch.choices is None:
        raise UsageError("this policy fuses ops, and a graph came without edges: make it by `kernel_graph`")
    return batch.choices
