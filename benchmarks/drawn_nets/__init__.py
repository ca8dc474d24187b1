"""Small nets drawn at random: shapes and wirings that a cost model should have seen, beside those of known models.

`net(number)` is always the same net; numbers go through the families in turn.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.drawn_nets.dice import Dice, Drawn
from benchmarks.drawn_nets.images import Branches, Hourglass, Permuted, convolutions, grouped
from benchmarks.drawn_nets.rows import Attention, Formulas, Recurrent, Waves, perceptron

FAMILIES: tuple[Callable[[Dice], Drawn], ...] = (
    convolutions, Attention, Recurrent, grouped, perceptron, Branches, Formulas, Waves, Permuted, Hourglass,
)  # fmt: skip


def net(number: int) -> Drawn:
    """The net of a number, with PyTorch's own initial weights."""
    return FAMILIES[number % len(FAMILIES)](Dice(number))
