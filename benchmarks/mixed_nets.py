"""Small PyTorch nets whose parts suit different devices: wide convolutions first, then many small or serial steps."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def net(name: str) -> nn.Module:
    """One of `torch_models.MIXED`."""
    makers = {"crnn": Crnn, "centernet": CenterNet}
    return makers[name]()


class Crnn(nn.Module):
    """Reads a line of text: convolutions, then an LSTM in both directions, unrolled.

    Shi et al., "An End-to-End Trainable Neural Network for Image-based Sequence Recognition" (2015), with the width
    of LSTM that readers for phones have (48; Du et al., "PP-OCR", 2020).
    """

    def __init__(self, width: int = 48, classes: int = 37) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for channels, pool in ((64, (2, 2)), (128, (2, 2)), (192, (2, 1)), (256, (2, 1)), (256, (2, 1))):
            layers += [
                nn.Conv2d(before, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(pool),
            ]
            before = channels
        self.features = nn.Sequential(*layers)
        self.enter = nn.ModuleList(nn.Linear(before, 4 * width) for _ in range(2))
        self.recur = nn.ModuleList(nn.Linear(width, 4 * width, bias=False) for _ in range(2))
        self.head, self.width = nn.Linear(2 * width, classes), width
        _draw(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        columns = self.features(image).squeeze(2).squeeze(0).t()  # [steps, channels]
        ways = [self._steps(columns, 0), self._steps(columns.flip(0), 1).flip(0)]
        return functional.log_softmax(self.head(torch.cat(ways, dim=1)), dim=1)

    def _steps(self, columns: torch.Tensor, way: int) -> torch.Tensor:
        state = memory = columns.new_zeros(1, self.width)
        states = []
        for step in self.enter[way](columns).split(1):
            enter, forget, update, leave = (step + self.recur[way](state)).chunk(4, dim=1)
            memory = torch.sigmoid(forget) * memory + torch.sigmoid(enter) * torch.tanh(update)
            state = torch.sigmoid(leave) * torch.tanh(memory)
            states.append(state)
        return torch.cat(states)


class CenterNet(nn.Module):
    """Finds objects as the peaks of heat maps, and takes the best hundred.

    Zhou et al., "Objects as Points" (2019): no boxes are compared with each other, so there is nothing dynamic in it.
    """

    def __init__(self, channels: int = 64, blocks: int = 4, classes: int = 20, most: int = 100) -> None:
        super().__init__()
        self.enter = nn.Sequential(_convolution(3, 32, 2), _convolution(32, channels, 2))
        self.blocks = nn.ModuleList(
            nn.Sequential(_convolution(channels, channels, 1), nn.Conv2d(channels, channels, 3, padding=1))
            for _ in range(blocks)
        )
        self.heat, self.box = (
            nn.Sequential(_convolution(channels, channels, 1), nn.Conv2d(channels, outputs, 1))
            for outputs in (classes, 4)
        )
        self.most = most
        _draw(self)
        with torch.no_grad():  # or the best hundred would all score 1
            self.heat[-1].weight.mul_(0.05)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = self.enter(image)
        for block in self.blocks:
            rows = torch.relu(rows + block(rows))
        heat = torch.sigmoid(self.heat(rows))
        peaks = heat * (functional.max_pool2d(heat, 3, stride=1, padding=1) == heat)
        cells = heat.shape[2] * heat.shape[3]
        score, place = peaks.flatten().topk(self.most)
        cell = place % cells
        boxes = self.box(rows).flatten(2).squeeze(0)  # [4, cells]
        return score, place // cells, boxes.gather(1, cell.expand(4, -1))


def _convolution(before: int, after: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=False)
    )


def _draw(module: nn.Module) -> None:
    """Weight matrices in He scale: with PyTorch's own an image fades on its way through convolutions."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
