"""Steps of training that all ways of learning share: batches, rates, and gradients that must be finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch

from tvm_go.errors import TrainingError

T = TypeVar("T")


def some_of(lessons: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    """A batch: so many different lessons, or all if there are fewer."""
    return [lessons[i] for i in rng.choice(len(lessons), min(count, len(lessons)), replace=False)]


def half_cosine(rate: float, step: int, steps: int) -> float:
    """A rate that falls to nothing within so many steps, as half a cosine."""
    return rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Learn at another rate from now on."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def descend(
    policy: torch.nn.Module, optimiser: torch.optim.Optimizer, loss: torch.Tensor, name: str, largest_gradient: float
) -> None:
    """Take one step of the optimiser down a loss, with gradients cut to a norm.

    Raises
    ------
    TrainingError
        See `backward`; the weights are as before.
    """
    optimiser.zero_grad(set_to_none=True)
    backward(policy, loss, name)
    torch.nn.utils.clip_grad_norm_(policy.parameters(), largest_gradient)
    optimiser.step()


def backward(policy: torch.nn.Module, loss: torch.Tensor, name: str) -> None:
    """Add the gradient of one graph's loss.

    Raises
    ------
    TrainingError
        If the loss or the gradient is not finite.
    """
    if torch.isfinite(loss):
        loss.backward()
        if all(bool(torch.isfinite(one.grad).all()) for one in policy.parameters() if one.grad is not None):
            return
    raise TrainingError(
        f"{name}: the loss is {float(loss.detach()):g} or its gradient is not finite; "
        "look for odd costs in this graph, or lower the learning rate"
    )
