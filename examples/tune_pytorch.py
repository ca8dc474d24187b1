"""Tune a PyTorch module by rules alone, and compare its numbers with PyTorch's: `python examples/tune_pytorch.py`."""

import numpy as np
import torch
import tvm
from torch import nn
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

import tvm_go


class Mixer(nn.Module):
    """A block of a mixer net: products along one axis, then along the other."""

    def __init__(self, tokens: int = 64, channels: int = 96) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.tokens = nn.Linear(tokens, tokens)
        self.channels = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, C] to [B, T, C]."""
        mixed = x + self.tokens(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return mixed + self.channels(self.norm(mixed))


def main() -> None:
    """Trace, import, tune, build, compare."""
    torch.manual_seed(0)
    module, x = Mixer().eval(), torch.randn(1, 64, 96)
    with torch.no_grad():
        traced, expected = torch.jit.trace(module, x), module(x).numpy()
    mod, params = relay.frontend.from_pytorch(traced, [("x", tuple(x.shape))])
    # Budget 0: forms, kernels and schedules by rule; only the plan as a whole is measured.
    plan = tvm_go.tune(mod, params, budget=0, name="mixer")
    print(f"{plan.provenance['verdict']}: {plan.provenance['default_ms']} -> {plan.provenance['plan_ms']} ms")
    executor = GraphModule(tvm_go.build(mod, params, plan=plan)["default"](tvm.cpu()))
    executor.run(x=x.numpy())
    np.testing.assert_allclose(executor.get_output(0).numpy(), expected, rtol=1e-3, atol=1e-4)
    print("the numbers are PyTorch's")


if __name__ == "__main__":
    main()
