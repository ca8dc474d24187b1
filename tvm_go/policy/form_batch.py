"""FormBatch: the forms of ops of several graphs, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from tvm_go.errors import UsageError
from tvm_go.graph import Int64
from tvm_go.policy.form_choices import FormChoices
from tvm_go.policy.numbered import numbered

if TYPE_CHECKING:
    from tvm_go.policy.batch import GraphBatch


@dataclass(frozen=True, eq=False)
class FormBatch:
    """U ops with more than one form; see `FormChoices`. Ops and classes are numbered through the batch.

    Attributes
    ----------
    op, colocation : int64 [U]
    has : bool [U, F]
    features : float32 [U, F, FORM_FEATURES]
    """

    op: torch.Tensor
    colocation: torch.Tensor
    has: torch.Tensor
    features: torch.Tensor


def collate_forms(forms: Sequence[FormChoices | None], first_op: Int64, first_class: Int64) -> FormBatch | None:
    """Put the forms of graphs together; None if a graph comes without.

    Parameters
    ----------
    first_op, first_class : int64 [M]
        Number of each graph's first op and class in the batch.
    """
    parts = [one for one in forms if one is not None]
    if len(parts) < len(forms):
        return None
    return FormBatch(
        op=numbered([one.op for one in parts], first_op),
        colocation=numbered([one.colocation for one in parts], first_class),
        has=torch.from_numpy(np.concatenate([one.has for one in parts])),
        features=torch.from_numpy(np.concatenate([one.features for one in parts])),
    )


def forms_in(batch: GraphBatch) -> FormBatch:
    """The forms of a batch, for a policy that has the task ``variant``.

    Raises
    ------
    UsageError
        If a graph came without.
    """
    if batch.forms is None:
        raise UsageError("this policy chooses forms of ops, and a graph came without: describe it by `plan_input`")
    return batch.forms
