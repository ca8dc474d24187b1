"""PyTorch modules equal to models that the zoo has from `tvm.relay.testing`: `load(name, params)`."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from benchmarks.light_onnx import Array
from benchmarks.torch_models import TorchModel

NAMES = ("lstm", "mobilenet")

_STEPS, _UNITS = 6, 128
# Per block: output channels, stride of the depthwise convolution.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


class Lstm(nn.Module):
    """`relay.testing.lstm`: every step has its own weights, states start at zero, and the output is the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList(nn.LSTMCell(_UNITS, _UNITS) for _ in range(_STEPS))

    def forward(self, *steps: torch.Tensor) -> torch.Tensor:
        """Return the hidden state after the last step; float32 `[1, 128]` as each of `steps`."""
        states = None
        for cell, step in zip(self.cells, steps, strict=True):
            states = cell(step, states)
        assert states is not None
        return states[0]


def load(name: str, params: Mapping[str, Array]) -> TorchModel:
    """Return one of `NAMES` with the weights of `zoo.load(name)`.

    Parameters
    ----------
    name
        One of `NAMES`.
    params
        The Relay model's parameters by name, in the order of its `main`.

    Raises
    ------
    ValueError
        If there is no such model, or the parameters are not its own.
    """
    weights = {key: torch.from_numpy(np.array(value)) for key, value in params.items()}
    if name == "lstm":
        module, inputs = Lstm(), {f"data_{step}": torch.zeros(1, _UNITS) for step in range(_STEPS)}
        sides = {"ih": "i2h", "hh": "h2h"}
        state = {
            f"cells.{step}.{kind}_{side}": weights[f"{sides[side]}_{step}_{kind}"]
            for step in range(_STEPS)
            for side in sides
            for kind in ("weight", "bias")
        }
    elif name == "mobilenet":
        module, inputs = _mobilenet(), {"data": torch.zeros(1, 3, 224, 224)}
        keys = [key for key in module.state_dict() if not key.endswith("num_batches_tracked")]
        state = module.state_dict() | dict(zip(keys, weights.values(), strict=True))
    else:
        raise ValueError(f"no PyTorch module that mirrors {name!r}; there are {', '.join(NAMES)}")
    module.load_state_dict(state)
    return TorchModel(module.eval(), inputs)


def _mobilenet() -> nn.Module:
    """Return `relay.testing.mobilenet`: MobileNet v1, width 1, 1000 classes, softmax."""
    channels = 32
    layers = _convolution(3, channels, kernel=3, stride=2)
    for outputs, stride in _BLOCKS:
        layers += _convolution(channels, channels, kernel=3, stride=stride, groups=channels)
        layers += _convolution(channels, outputs, kernel=1)
        channels = outputs
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000), nn.Softmax(dim=-1))
    return nn.Sequential(*layers, *head)


def _convolution(inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs, eps=1e-5), nn.ReLU()]
