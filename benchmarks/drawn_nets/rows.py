"""Nets over rows and signals: attention, recurrence, dense layers, dilated convolutions, formulas."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from benchmarks.drawn_nets.dice import ACTIVATIONS, CHANNELS, ROWS, WIDTHS, Chain, Dice, Drawn, Step


class Attention(Drawn):
    """Self-attention with a feed-forward layer, normalised before or after, as in BERT, GPT and ViT."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self.heads = dice.one((1, 2, 3, 4))
        width = self.heads * dice.one((16, 20, 24, 32, 48, 64))
        self.rows, self.first, self.act = dice.one(ROWS[3:]), dice.maybe(), dice.one(ACTIVATIONS)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.parts = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.up = nn.Linear(width, dice.one((2, 3, 4)) * width)
        self.down = nn.Linear(self.up.out_features, width)
        self.causal, self.batch, self.width = dice.maybe(), dice.one((1, 1, 2)), width
        self.shape = (self.batch, self.rows, self.width)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        for norm, step in zip(self.norms, (self._attend, self._feed), strict=True):
            data = data + step(norm(data)) if self.first else norm(data + step(data))
        return data

    def _attend(self, data: torch.Tensor) -> torch.Tensor:
        batch, rows, width = self.batch, self.rows, self.width
        query, key, value = (
            part(data).reshape(batch, rows, self.heads, -1).transpose(1, 2) for part in list(self.parts)[:3]
        )
        scores = query @ key.transpose(2, 3) * (self.heads / width) ** 0.5
        if self.causal:
            scores = scores + torch.full((rows, rows), -1e9).triu(1)
        mixed = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).reshape(batch, rows, width)
        return self.parts[3](mixed)

    def _feed(self, data: torch.Tensor) -> torch.Tensor:
        return self.down(self.act(self.up(data)))


class Recurrent(Drawn):
    """Steps of an LSTM, a GRU or a plain recurrent net, unrolled."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self.width, self.cells = dice.one(WIDTHS), dice.one(WIDTHS)
        self.gates = dice.one((1, 3, 4))
        self.enter = nn.Linear(self.width, self.gates * self.cells)
        self.keep = nn.Linear(self.cells, self.gates * self.cells, bias=dice.maybe())
        self.joined, self.peep = dice.maybe(), dice.maybe(0.3)
        self.shape = (dice.one((3, 4, 6)), dice.one((1, 1, 2, 5, 8, 16)), self.width)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        state = memory = torch.zeros(steps.shape[1], self.cells)
        states = []
        for step in steps.unbind(0):
            entered, kept = self.enter(step).chunk(self.gates, dim=1), self.keep(state).chunk(self.gates, dim=1)
            if self.gates == 1:
                state = torch.tanh(entered[0] + kept[0])
            elif self.gates == 3:
                reset, update = torch.sigmoid(entered[0] + kept[0]), torch.sigmoid(entered[1] + kept[1])
                state = (1 - update) * torch.tanh(entered[2] + reset * kept[2]) + update * state
            else:
                first, second, third, last = (a + b for a, b in zip(entered, kept, strict=True))
                if self.peep:
                    first = first + memory
                memory = torch.sigmoid(second) * memory + torch.sigmoid(first) * torch.tanh(third)
                state = torch.sigmoid(last) * torch.tanh(memory)
            states.append(state)
        return torch.stack(states) if self.joined else state


def perceptron(dice: Dice) -> Drawn:
    """Dense layers with normalisation or without."""
    width, rows = dice.one(WIDTHS), dice.one(ROWS)
    shape = (rows, width)
    act, blocks = dice.one(ACTIVATIONS), []
    for _ in range(4):
        after = dice.one((width, dice.one(WIDTHS)))
        layers: list[nn.Module] = [nn.Linear(width, after, bias=dice.maybe(0.7))]
        if dice.maybe():
            layers.append(nn.LayerNorm(after))
        if dice.maybe(0.3):
            layers.append(nn.Softmax(dim=1))
        blocks.append((layers, act))
        width = after
    return Chain(blocks, dice.maybe(), shape)


class Waves(Drawn):
    """Gated dilated convolutions in one dimension."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self.channels, self.length = dice.one(CHANNELS), dice.one((100, 250, 256, 500, 1000))
        self.windows = [dice.one((2, 3, 5)) for _ in range(3)]
        self.dilations = [dice.one((1, 2, 4, 7)) for _ in range(3)]
        pairs = list(zip(self.windows, self.dilations, strict=True))
        self.filters, self.gates = (
            nn.ModuleList(nn.Conv1d(self.channels, self.channels, size, dilation=step) for size, step in pairs)
            for _ in range(2)
        )
        self.mix = nn.ModuleList(nn.Conv1d(self.channels, self.channels, 1) for _ in pairs)
        self.gated = dice.maybe(0.7)
        self.shape = (1, self.channels, self.length)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        for block, (size, step) in enumerate(zip(self.windows, self.dilations, strict=True)):
            late = functional.pad(data, ((size - 1) * step, 0))
            made = torch.tanh(self.filters[block](late))
            if self.gated:
                made = made * torch.sigmoid(self.gates[block](late))
            data = data + self.mix[block](made)
        return data


class Formulas(Drawn):
    """Elementwise functions, broadcasts and reductions in random order."""

    functions: tuple[Step, ...] = (
        torch.exp, torch.tanh, torch.sqrt, torch.erf, torch.sigmoid, torch.abs, torch.square, functional.softplus,
    )  # fmt: skip

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self.rows, self.columns = dice.one(ROWS), dice.one((64, 100, 500, 1000, 4096, 20_000))
        self.steps = [
            (
                dice.one(self.functions),
                dice.one(("add", "times", "less", "ratio", "mean", "largest")),
                dice.one(range(8)),
            )
            for _ in range(12)
        ]
        self.shape = (self.rows, self.columns)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        known = [torch.sigmoid(data) + 0.1]
        for function, how, back in self.steps:
            one, other = function(known[-1]), known[max(0, len(known) - 1 - back)]
            match how:
                case "add":
                    made = one + other
                case "times":
                    made = one * other
                case "less":
                    made = torch.abs(one - other) + 0.1
                case "ratio":
                    made = one / (torch.abs(other) + 1.0)
                case "mean":
                    made = one - other.mean(dim=1, keepdim=True)
                case _:
                    made = one / (other.amax(dim=1, keepdim=True) + 1.0)
            known.append(torch.sigmoid(made) + 0.1)
        return torch.stack([known[-1], known[4]])
