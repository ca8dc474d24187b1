"""Nets over images: convolutions of all kinds, branches, ways down and up, channels last."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from benchmarks.drawn_nets.dice import ACTIVATIONS, CHANNELS, SIDES, Chain, Dice, Drawn, Step


def convolutions(dice: Dice) -> Drawn:
    """Convolutions with or without normalisation, as in VGG and ResNet."""
    channels, side = dice.one(CHANNELS), dice.one(SIDES)
    shape = (1, channels, side, side)
    act, blocks, normed = dice.one(ACTIVATIONS), [], dice.maybe(0.7)
    for _ in range(4):
        after, window = dice.one((channels, dice.one(CHANNELS))), dice.one((1, 3, 3, 5))
        layers: list[nn.Module] = [
            nn.Conv2d(channels, after, window, stride=dice.one((1, 1, 2)), padding=window // 2, bias=not normed)
        ]
        if normed:
            layers.append(nn.BatchNorm2d(after))
        blocks.append((layers, act))
        channels = after
    return Chain(blocks, dice.maybe(), shape)


def grouped(dice: Dice) -> Drawn:
    """Grouped and depthwise convolutions between pointwise ones, as in MobileNet, ResNeXt and ShuffleNet."""
    groups = dice.one((2, 3, 4, 8))
    channels, side = groups * dice.one((4, 6, 8, 12, 20)), dice.one(SIDES)
    act, blocks = dice.one(ACTIVATIONS), []
    for _ in range(3):
        wide, window = channels * dice.one((1, 2, 3)), dice.one((3, 3, 5))
        many = dice.one((1, groups))
        blocks.append(([nn.Conv2d(channels, wide, 1, groups=many), nn.BatchNorm2d(wide)], act))
        between = dice.one((wide, groups))
        blocks.append(([nn.Conv2d(wide, wide, window, padding=window // 2, groups=between), nn.BatchNorm2d(wide)], act))
        blocks.append(([nn.Conv2d(wide, channels, 1, groups=many)], _shuffled(groups) if dice.maybe() else _same))
    return Chain(blocks, dice.maybe(), (1, channels, side, side))


class Branches(Drawn):
    """Branches of convolutions and pools that are concatenated, as in Inception and DenseNet."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self.channels, self.side = dice.one(CHANNELS), dice.one(SIDES)
        self.act, self.dense = dice.one(ACTIVATIONS), dice.maybe()
        self.blocks = nn.ModuleList()
        channels = self.channels
        for _ in range(2):
            widths = [dice.one(CHANNELS[:10]) for _ in range(3)]
            pool = dice.one((nn.MaxPool2d, nn.AvgPool2d))(3, stride=1, padding=1)
            self.blocks.append(
                nn.ModuleList(
                    [
                        nn.Conv2d(channels, widths[0], 1),
                        nn.Sequential(
                            nn.Conv2d(channels, widths[1], 1), nn.ReLU(), nn.Conv2d(widths[1], widths[1], 3, padding=1)
                        ),
                        nn.Sequential(pool, nn.Conv2d(channels, widths[2], 1)),
                    ]
                )
            )
            channels = sum(widths) + (channels if self.dense else 0)
        self.shape = (1, self.channels, self.side, self.side)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            made = [self.act(branch(data)) for branch in block]
            data = torch.cat([data, *made] if self.dense else made, dim=1)
        return functional.adaptive_avg_pool2d(data, 1)


class Hourglass(Drawn):
    """Down, up, and across, as in U-Net."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self.channels, self.side = dice.one(CHANNELS[:12]), 2 * dice.one((6, 7, 12, 14, 20, 28))
        wide = dice.one((1, 2)) * self.channels
        self.down = nn.Conv2d(self.channels, wide, 3, stride=2, padding=1)
        self.inner = nn.Conv2d(wide, wide, 3, padding=1)
        self.transposed = dice.maybe(0.4)
        self.up = nn.ConvTranspose2d(wide, wide, 2, stride=2) if self.transposed else nn.Conv2d(wide, wide, 1)
        self.last = nn.Conv2d(wide + self.channels, dice.one(CHANNELS[:8]), 3, padding=1)
        self.act, self.mode = dice.one(ACTIVATIONS), dice.one(("nearest", "bilinear"))
        self.shape = (1, self.channels, self.side, self.side)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        low = self.act(self.inner(self.act(self.down(data))))
        high = self.up(low)
        if not self.transposed:
            high = functional.interpolate(high, scale_factor=2.0, mode=self.mode)
        return torch.sigmoid(self.last(torch.cat([data, self.act(high)], dim=1)))


class Permuted(Drawn):
    """Wide depthwise windows, channels last for dense layers, as in ConvNeXt and mixers."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self.channels, self.side = dice.one(CHANNELS), dice.one(SIDES[:8])
        window = dice.one((3, 5, 7))
        self.spread = nn.Conv2d(self.channels, self.channels, window, padding=window // 2, groups=self.channels)
        self.norm = nn.LayerNorm(self.channels)
        self.up = nn.Linear(self.channels, dice.one((2, 3, 4)) * self.channels)
        self.down = nn.Linear(self.up.out_features, self.channels)
        self.across = nn.Linear(self.side**2, self.side**2) if dice.maybe(0.4) else None
        self.act = dice.one(ACTIVATIONS)
        self.shape = (1, self.channels, self.side, self.side)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        rows = self.norm(self.spread(data).permute(0, 2, 3, 1))
        data = data + self.down(self.act(self.up(rows))).permute(0, 3, 1, 2)
        if self.across is not None:
            data = data + self.across(data.flatten(2)).reshape(data.shape)
        return data.mean(dim=(2, 3))


def _same(data: torch.Tensor) -> torch.Tensor:
    return data


def _shuffled(groups: int) -> Step:
    """Channels of all groups in turn."""

    def shuffle(data: torch.Tensor) -> torch.Tensor:
        batch, channels, *sides = data.shape
        return data.reshape(batch, groups, channels // groups, *sides).transpose(1, 2).reshape(data.shape)

    return shuffle
