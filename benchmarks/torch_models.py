"""The zoo's PyTorch models: `load(name, rng)` gives a module and its inputs, `to_relay` what TVM makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relay

if TYPE_CHECKING:
    import torch

NAMES = ("bert2", "bert6", "gpt2", "vit_tiny", "physics")

SMALL: dict[str, tuple[int, ...]] = {
    "gru": (6, 1, 96),
    "lstm_wide": (4, 8, 256),
    "mixer": (1, 3, 128, 128),
    "wavenet": (1, 1, 1024),
    "shuffle": (1, 24, 56, 56),
    "options": (3, 100_000),
}
"""Nets of `benchmarks.small_nets`, and the shape of the only input of each."""

MIXED: dict[str, tuple[int, ...]] = {"crnn": (1, 1, 32, 100), "centernet": (1, 3, 128, 128)}
"""Nets of `benchmarks.mixed_nets`, likewise."""

NUMBERED = {
    "drawn": "benchmarks.drawn_nets",
    "formula": "benchmarks.drawn_nets.grids",
    "published": "benchmarks.published_nets",
}
"""Nets without end, each named by its number, `drawn_0`: the module whose `net(number)` makes them."""

_SEQUENCE = 128
_VOCABULARY = 1000


@dataclass(frozen=True)
class TorchModel:
    """A module in eval mode, and sample inputs by the names that they have in Relay, in the order of `forward`."""

    module: torch.nn.Module
    inputs: dict[str, torch.Tensor]


def load(name: str, rng: np.random.Generator) -> TorchModel:
    """Return one of `NAMES`, `SMALL` or `MIXED`, or a numbered net, with weights drawn by `rng`.

    bert2
        BERT encoder: 2 layers, hidden size 256, 4 heads, sequence 128; as all that follow, to the last hidden state
    bert6
        6 layers, hidden size 512, 8 heads, sequence 128
    gpt2
        GPT-2 small's width (768, 12 heads), 4 layers, sequence 128, no cache
    vit_tiny
        ViT-tiny: 12 layers, hidden size 192, 3 heads, patches of 16 in an image of 224
    physics
        `benchmarks.physics`; it has no weights

    Raises
    ------
    ValueError
        If there is no such model.
    """
    import torch

    if name == "physics":
        from benchmarks.physics import SHAPES, SeaWater

        samples = {key: rng.standard_normal(shape, np.float32) for key, shape in SHAPES.items()}
        return TorchModel(SeaWater().eval(), {key: torch.from_numpy(value) for key, value in samples.items()})
    if name in SMALL or name in MIXED or is_numbered(name):
        from benchmarks import mixed_nets, small_nets

        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**31)))
            if not is_numbered(name):
                net = small_nets.net(name) if name in SMALL else mixed_nets.net(name)
                return TorchModel(net.eval(), {"data": torch.randn({**SMALL, **MIXED}[name])})
            kind, number = name.split("_")
            numbered = import_module(NUMBERED[kind]).net(int(number))
            return TorchModel(numbered.eval(), {"data": numbered.sample()})
    if name not in NAMES:
        raise ValueError(f"no PyTorch model {name!r}; there are {', '.join((*NAMES, *SMALL, *MIXED))}")
    module = _transformer(name, rng)
    if name == "vit_tiny":
        return TorchModel(module, {"pixel_values": torch.from_numpy(rng.standard_normal((1, 3, 224, 224), np.float32))})
    ids = torch.from_numpy(rng.integers(0, _VOCABULARY, (1, _SEQUENCE)))
    return TorchModel(module, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def is_numbered(name: str) -> bool:
    """Whether a name is of one of `NUMBERED`."""
    kind, _, number = name.partition("_")
    return kind in NUMBERED and number.isdecimal()


def to_relay(model: TorchModel) -> tuple[tvm.IRModule, dict[str, tvm.nd.NDArray]]:
    """Trace a model and import it by TVM's PyTorch front end."""
    import torch

    with torch.no_grad():
        traced = torch.jit.trace(model.module, tuple(model.inputs.values()))
    shapes = [
        (key, (tuple(value.shape), str(value.dtype).removeprefix("torch."))) for key, value in model.inputs.items()
    ]
    mod, params = relay.frontend.from_pytorch(traced, shapes)
    return mod, params


def _transformer(name: str, rng: np.random.Generator) -> torch.nn.Module:
    """Return a transformer with weight matrices for which attention scores have a standard deviation of about 1."""
    import torch
    import transformers

    def common(hidden: int) -> dict[str, Any]:
        return {"initializer_range": hidden**-0.5, "return_dict": False, "attn_implementation": "eager"}

    def bert(layers: int, hidden: int, heads: int) -> torch.nn.Module:
        config = transformers.BertConfig(
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            **common(hidden),
        )
        return transformers.BertModel(config, add_pooling_layer=False)

    class Gpt2(transformers.GPT2Model):
        """Its own second positional argument is a cache."""

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return super().forward(input_ids=input_ids, attention_mask=attention_mask)

    def gpt2() -> torch.nn.Module:
        config = transformers.GPT2Config(
            n_embd=768,
            n_head=12,
            n_layer=4,
            n_positions=_SEQUENCE,
            vocab_size=_VOCABULARY,
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
            **common(768),
        )
        return Gpt2(config)

    def vit_tiny() -> torch.nn.Module:
        config = transformers.ViTConfig(
            hidden_size=192,
            num_hidden_layers=12,
            num_attention_heads=3,
            intermediate_size=768,
            patch_size=16,
            image_size=224,
            **common(192),
        )
        return transformers.ViTModel(config, add_pooling_layer=False)

    build = {"bert2": lambda: bert(2, 256, 4), "bert6": lambda: bert(6, 512, 8), "gpt2": gpt2, "vit_tiny": vit_tiny}
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        module = build[name]().eval()
    with torch.no_grad():  # biases of 0 and gains of 1 would be simplified away, and hide wrong numbers
        for key, parameter in module.named_parameters():
            if parameter.ndim == 1:
                mean = 1.0 if key.endswith("weight") else 0.0
                parameter.copy_(torch.from_numpy(rng.normal(mean, 0.1, parameter.shape)))
    return module
