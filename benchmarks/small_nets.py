"""Small PyTorch nets of families that no model file at hand covers: what a cost model should have seen too."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


def net(name: str) -> nn.Module:
    """One of `torch_models.SMALL`, with PyTorch's own initial weights."""
    makers = {
        "gru": Gru,
        "lstm_wide": WideLstm,
        "mixer": Mixer,
        "wavenet": WaveNet,
        "shuffle": Shuffle,
        "options": Options,
    }
    return makers[name]()


class Gru(nn.Module):
    """A gated recurrent unit (Cho et al., 2014), unrolled."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.enter, self.recur = nn.Linear(width, 3 * width), nn.Linear(width, 3 * width)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        state = torch.zeros_like(steps[0])
        for step in steps.unbind(0):
            entered, kept = self.enter(step).chunk(3, dim=1), self.recur(state).chunk(3, dim=1)
            reset, update = torch.sigmoid(entered[0] + kept[0]), torch.sigmoid(entered[1] + kept[1])
            state = update * state + (1 - update) * torch.tanh(entered[2] + reset * kept[2])
        return state


class WideLstm(nn.Module):
    """A long short-term memory with a projection (Sak et al., 2014), unrolled, a batch at a time."""

    def __init__(self, width: int = 256, cells: int = 320) -> None:
        super().__init__()
        self.gates, self.project = nn.Linear(2 * width, 4 * cells), nn.Linear(cells, width)
        self.width, self.cells = width, cells

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        state, memory = torch.zeros_like(steps[0]), steps.new_zeros(steps.shape[1], self.cells)
        for step in steps.unbind(0):
            enter, forget, update, leave = self.gates(torch.cat([step, state], dim=1)).chunk(4, dim=1)
            memory = torch.sigmoid(forget) * memory + torch.sigmoid(enter) * torch.tanh(update)
            state = self.project(torch.sigmoid(leave) * torch.tanh(memory))
        return state


class Mixer(nn.Module):
    """MLP-Mixer (Tolstikhin et al., 2021): patches of 8, width 160, 4 layers."""

    def __init__(self, width: int = 160, patches: int = 256, layers: int = 4) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 8, stride=8)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers))
        self.across = nn.ModuleList(_mlp(patches, 2 * patches) for _ in range(layers))
        self.within = nn.ModuleList(_mlp(width, 4 * width) for _ in range(layers))
        self.head = nn.Linear(width, 100)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = self.embed(image).flatten(2).transpose(1, 2)
        for layer, (across, within) in enumerate(zip(self.across, self.within, strict=True)):
            rows = rows + across(self.norms[2 * layer](rows).transpose(1, 2)).transpose(1, 2)
            rows = rows + within(self.norms[2 * layer + 1](rows))
        return self.head(rows.mean(dim=1))


class WaveNet(nn.Module):
    """WaveNet's residual blocks (van den Oord et al., 2016): gated dilated convolutions with skips."""

    def __init__(self, channels: int = 48, dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)) -> None:
        super().__init__()
        self.enter = nn.Conv1d(1, channels, 1)
        self.filters = nn.ModuleList(nn.Conv1d(channels, channels, 2, dilation=step) for step in dilations)
        self.gates = nn.ModuleList(nn.Conv1d(channels, channels, 2, dilation=step) for step in dilations)
        self.mix = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in dilations)
        self.skips = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in dilations)
        self.leave, self.dilations = nn.Conv1d(channels, 64, 1), dilations

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        rows, total = self.enter(wave), torch.zeros(())
        for block, step in enumerate(self.dilations):
            late = functional.pad(rows, (step, 0))
            gated = torch.tanh(self.filters[block](late)) * torch.sigmoid(self.gates[block](late))
            total = total + self.skips[block](gated)
            rows = rows + self.mix[block](gated)
        return torch.softmax(self.leave(torch.relu(total)), dim=1)


class Shuffle(nn.Module):
    """Units of grouped and depthwise convolutions with a channel shuffle (Zhang et al., 2018)."""

    def __init__(self, channels: int = 24, units: int = 4) -> None:
        super().__init__()
        self.units = nn.ModuleList()
        for unit in range(units):
            wide = channels * 2 if unit % 2 else channels
            self.units.append(
                nn.ModuleList(
                    [
                        nn.Conv2d(channels, wide, 1, groups=4),
                        nn.Conv2d(wide, wide, 3, stride=1 + unit % 2, padding=1, groups=wide),
                        nn.Conv2d(wide, wide, 1, groups=4),
                    ]
                )
            )
            channels = wide
        self.head = nn.Linear(channels, 50)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for narrow, depthwise, widen in self.units:
            rows = functional.relu(narrow(image))
            batch, channels, height, width = rows.shape
            rows = rows.reshape(batch, 4, channels // 4, height, width).transpose(1, 2)
            rows = widen(depthwise(rows.reshape(batch, channels, height, width)))
            image = functional.relu(rows + image) if rows.shape == image.shape else functional.relu(rows)
        return self.head(image.mean(dim=(2, 3)))


class Options(nn.Module):
    """Prices and sensitivities of options by Black and Scholes: pointwise all through."""

    def forward(self, market: torch.Tensor) -> torch.Tensor:
        spot, strike, years = (functional.softplus(row) + 0.1 for row in market.unbind(0))
        rate, volatility = 0.03, 0.2 + 0.05 * torch.tanh(strike)
        deviation = volatility * torch.sqrt(years)
        above = (torch.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / deviation
        below, discount = above - deviation, torch.exp(-rate * years)
        call = spot * _normal(above) - strike * discount * _normal(below)
        put = strike * discount * _normal(-below) - spot * _normal(-above)
        density = torch.exp(-0.5 * above * above) / math.sqrt(2 * math.pi)
        return torch.stack(
            [call, put, _normal(above), density / (spot * deviation), spot * density * torch.sqrt(years)]
        )


def _mlp(width: int, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


def _normal(value: torch.Tensor) -> torch.Tensor:
    return 0.5 * (1 + torch.erf(value / math.sqrt(2)))
