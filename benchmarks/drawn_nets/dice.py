"""What all nets are drawn from: sizes and activations, and a random generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

T = TypeVar("T")
Step = Callable[[torch.Tensor], torch.Tensor]

CHANNELS = (8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192)
SIDES = (6, 7, 10, 14, 15, 19, 28, 30, 38, 56)
ROWS = (1, 3, 8, 17, 33, 49, 50, 64, 77, 96, 100, 128, 197)
WIDTHS = (16, 20, 24, 32, 48, 50, 64, 80, 96, 100, 128, 160, 192, 200, 256, 300, 384)
ACTIVATIONS: tuple[Step, ...] = (
    functional.relu, functional.relu6, functional.silu, functional.leaky_relu, functional.gelu, torch.sigmoid,
    torch.tanh, functional.hardswish,
)  # fmt: skip


class Drawn(nn.Module):
    """A net that knows the shape of its only input."""

    shape: tuple[int, ...]

    def sample(self) -> torch.Tensor:
        """An input."""
        return torch.randn(self.shape)


class Dice:
    """Draws from what is given, by seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, some: Sequence[T]) -> T:
        return some[int(self.rng.integers(len(some)))]

    def maybe(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)


class Chain(Drawn):
    """Layers and functions one after the other; where shapes allow, with a way around each block."""

    def __init__(self, blocks: Sequence[tuple[list[nn.Module], Step]], around: bool, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.blocks = nn.ModuleList(nn.Sequential(*layers) for layers, _ in blocks)
        self.steps = [step for _, step in blocks]
        self.around = around

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        for block, step in zip(self.blocks, self.steps, strict=True):
            made = block(data)
            data = step(data + made if self.around and made.shape == data.shape else made)
        return data
