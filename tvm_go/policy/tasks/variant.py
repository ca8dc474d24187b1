"""Variant: a form for each op that has several. Pairs of op and form are scored, by what a form is like."""

from __future__ import annotations

import torch
from torch import nn

from tvm_go.policy.batch import GraphBatch
from tvm_go.policy.config import PolicyConfig
from tvm_go.policy.form_batch import forms_in
from tvm_go.policy.form_choices import FORM_FEATURES
from tvm_go.policy.modulation import Context, Modulated
from tvm_go.policy.tasks.task import IMPOSSIBLE, Task

_HIDDEN = 32


class Variant(Task):
    """Units are ops with more than one form, see `FormChoices`; actions are forms."""

    def __init__(self, config: PolicyConfig, *, reads_back: bool) -> None:
        super().__init__(config, reads_back=reads_back)
        width, modulation = config.width, config.modulation
        self.op = Modulated(width, _HIDDEN, width, modulation=modulation)
        self.form = Modulated(FORM_FEATURES + 1, _HIDDEN, width, modulation=modulation)
        self.mix = Modulated(_HIDDEN, _HIDDEN, width, modulation=modulation)
        self.score = Modulated(_HIDDEN, 1, width, modulation=modulation, bias=False)  # equal for all forms
        if reads_back:
            self.chosen = nn.Linear(FORM_FEATURES, width)

    def class_of(self, batch: GraphBatch) -> torch.Tensor:
        """The classes of the ops that are decided on: int64 [U]."""
        return forms_in(batch).colocation

    def logits(
        self, state: torch.Tensor, batch: GraphBatch, context: Context, earlier: torch.Tensor | None
    ) -> torch.Tensor:
        """float32 [B, U, F]; a form is told whether it is the one that was decided in the round before."""
        forms = forms_in(batch)
        of_op = context.at(batch.graph_of_op[forms.op])
        of_pair = of_op.at(of_op.graph_of[:, None])
        count = forms.has.shape[1]
        if earlier is None:
            kept = torch.zeros(1, len(forms.op), count)
        else:
            kept = nn.functional.one_hot(earlier, count).float()
        features = torch.cat([forms.features.expand(len(kept), -1, -1, -1), kept[..., None]], dim=-1)
        hidden = self.op(state[:, forms.op], of_op)[:, :, None] + self.form(features, of_pair)
        hidden = torch.relu(hidden)  # [B, U, F, hidden]
        hidden = hidden + torch.relu(self.mix(hidden, of_pair))
        return self.score(hidden, of_pair)[..., 0].masked_fill(~forms.has, IMPOSSIBLE)

    def embed(self, decision: torch.Tensor, batch: GraphBatch) -> torch.Tensor:
        """The features of the form, 0 for ops without a choice: float32 [B, N, W]."""
        forms = forms_in(batch)
        told = self.chosen(forms.features[torch.arange(len(forms.op)), decision])
        return told.new_zeros(len(told), batch.total_ops, told.shape[-1]).index_copy(1, forms.op, told)
