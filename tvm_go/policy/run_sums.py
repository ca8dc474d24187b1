"""Sums over runs of neighbouring units, in any of several orders, by prefix sums."""

from __future__ import annotations

import torch


def run_sums(
    values: torch.Tensor,
    sequences: torch.Tensor,
    row: torch.Tensor | int,
    runs: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Sum over the units of each run, for its action: of any shape; O(R Q U A + runs).

    Parameters
    ----------
    values : float32 [R, U, A]
    sequences : int64 [Q, U]
        Orders of the units.
    row : int64 or int
        Which of R each run is for; broadcasts to the shape of the runs.
    runs
        Sequence, begin and end in it, and action of each run: int64, of one shape.
    """
    sequence, begin, end, action = runs
    sums = torch.nn.functional.pad(values[:, sequences].double().cumsum(dim=2), (0, 0, 1, 0))  # [R, Q, 1 + U, A]
    return (sums[row, sequence, end, action] - sums[row, sequence, begin, action]).to(values.dtype)
