"""Work through many rows part by part, so that what lies between input and output never stands in memory whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

_FLOATS_AT_ONCE = 1 << 25  # 128 MiB


def in_chunks(part: Callable[[int, int], torch.Tensor], rows: int, floats_per_row: int) -> torch.Tensor:
    """Outputs of ``part(first, last)`` for consecutive ranges of rows, joined along dimension 1.

    If there are several parts and gradients are wanted, each is computed a second time on the way back.
    """
    step = max(1, _FLOATS_AT_ONCE // floats_per_row)
    if step >= rows:
        return part(0, rows)
    ends = [(first, min(first + step, rows)) for first in range(0, rows, step)]
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(part, *pair, use_reentrant=False) for pair in ends], dim=1)
    return torch.cat([part(*pair) for pair in ends], dim=1)
