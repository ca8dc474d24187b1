"""Small nets drawn at random: shapes and wirings that a cost model should have seen, beside those of known models.

`net(number)` is always the same net; numbers go through the families in turn.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.drawn_nets.dice import Dice, Drawn
from benchmarks.drawn_nets.images import branches, convolutions, grouped, hourglass, permuted
from benchmarks.drawn_nets.rows import attention, formulas, perceptron, recurrent, waves

FAMILIES: tuple[Callable[[Dice], Drawn], ...] = (
    convolutions, attention, recurrent, grouped, perceptron, branches, formulas, waves, permuted, hourglass,
)  # fmt: skip


def net(number: int) -> Drawn:
    """The net of a number, with PyTorch's own initial weights."""
    return FAMILIES[number % len(FAMILIES)](Dice(number))
