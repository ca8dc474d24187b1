"""Ops, classes and units of several graphs, numbered through their batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tvm_go.graph import Int64


def numbered(parts: Sequence[NDArray[np.integer]], first: Int64) -> torch.Tensor:
    """Numbers within each of M graphs as numbers in the batch: int64.

    Parameters
    ----------
    first : int64 [M]
        Number of the first of each graph in the batch.
    """
    return torch.from_numpy(np.concatenate([a + b for a, b in zip(parts, first, strict=True)]).astype(np.int64))
