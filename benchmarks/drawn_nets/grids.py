"""Long pointwise formulas over grids: polynomials, ratios and functions of a few fields, as in physics and finance.

`net(number)` is always the same formula.
"""

from __future__ import annotations

import torch

from benchmarks.drawn_nets.dice import Dice, Drawn, Step

_GRIDS = (
    (20_000,), (100_000,), (300_000,), (50, 300), (96, 512), (181, 360), (64, 4096), (8, 24, 50), (10, 64, 64),
    (17, 90, 144), (32, 60, 100), (12, 128, 256), (3, 4, 50, 70),
)  # fmt: skip
_FUNCTIONS: tuple[Step, ...] = (
    torch.exp, torch.tanh, torch.sin, torch.cos, torch.erf, torch.sigmoid, torch.abs, torch.square, torch.floor,
    lambda x: torch.sqrt(torch.abs(x)), lambda x: torch.log(torch.abs(x) + 1.0), lambda x: torch.clamp(x, -1.0, 1.0),
)  # fmt: skip
_WAYS = ("polynomial", "polynomial", "sum", "less", "product", "product", "ratio", "function", "profile", "choice")


class Formula(Drawn):
    """What is made of a few fields, all of one input, and of profiles along single axes, in random order.

    Factors are fields, whose values are of order 1, so that nothing overflows.
    """

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self.shape = dice.one(_GRIDS)
        self.fields = [(dice.one((0.1, 0.3, 0.5)), dice.one((-1.0, 0.5, 1.0))) for _ in range(dice.one((1, 2, 3)))]
        self.steps = [
            (dice.one(_WAYS), dice.one(range(12)), dice.one(range(12)), dice.one(range(2, 7)), dice.one(_FUNCTIONS))
            for _ in range(dice.one((6, 10, 16, 24)))
        ]
        self.wanted = dice.one((1, 1, 2, 3))
        for axis, extent in enumerate(self.shape):
            along = [extent if other == axis else 1 for other in range(len(self.shape))]
            self.register_buffer(f"profile{axis}", torch.linspace(0.5, 1.5, extent).reshape(along))

    def forward(self, data: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        fields = [data * scale + shift for scale, shift in self.fields]
        known = list(fields)
        for way, back, which, degree, function in self.steps:
            one, other, field = known[-1], known[max(0, len(known) - 1 - back)], fields[which % len(fields)]
            match way:
                case "polynomial":
                    made = one * 0.5 + _polynomial(field, degree)
                case "sum":
                    made = one + other
                case "less":
                    made = one - 0.7 * other
                case "product":
                    made = one * field
                case "ratio":
                    made = one / (torch.abs(other) + 1.0)
                case "function":
                    made = function(other) * field
                case "profile":
                    made = one * self.get_buffer(f"profile{which % len(self.shape)}")
                case _:
                    made = torch.where(one > field, one, other)
            known.append(made)
        *_, last = known
        return last if self.wanted == 1 else (last, *known[-self.wanted : -1])


def net(number: int) -> Formula:
    """The formula of a number."""
    return Formula(Dice(number))


def _polynomial(x: torch.Tensor, degree: int) -> torch.Tensor:
    value = x * 0.3**degree
    for power in range(degree - 1, 0, -1):
        value = (value + 0.3**power) * x
    return value + 1.0
