"""Small nets of published architectures, with sizes drawn at random: what a cost model should have seen of real models.

`net(number)` is always the same net; numbers go through the architectures of the package transformers that TVM's
front end takes. Those whose models stand in the benchmarks' tables have other sizes here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from benchmarks.drawn_nets.dice import Dice, Drawn

Sizes = dict[str, Any]
"""Arguments of a configuration."""
Shaped = tuple[Sizes, tuple[int, ...]]
"""These, and the shape of the input."""
_HEADS = (2, 3, 4, 5, 6)
_PER_HEAD = (16, 24, 32, 40, 48, 64)
_VOCABULARY = 500


@dataclass(frozen=True)
class Architecture:
    """A model of transformers.

    Attributes
    ----------
    name : str
        Of its configuration, without the suffix.
    sizes : callable
        Draws the arguments of the configuration, and the shape of the input.
    model : str
        Class of the model; as the configuration, with the suffix ``Model``, where it is empty.
    encoder : bool
        Whether only the encoder is wanted.
    masked : bool
        Whether it is given a mask, of ones, beside token ids; without, the front end lacks an operator for some.
    """

    name: str
    sizes: Callable[[Dice], Shaped]
    model: str = ""
    encoder: bool = False
    masked: bool = False


class Published(Drawn):
    """The first output of a model of transformers."""

    def __init__(self, model: Any, shape: tuple[int, ...], masked: bool) -> None:
        super().__init__()
        self.model, self.shape, self.masked = model, shape, masked

    def sample(self) -> torch.Tensor:
        takes_ids = self.model.main_input_name == "input_ids"
        return torch.randint(0, _VOCABULARY, self.shape) if takes_ids else super().sample()

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        made = self.model(data, attention_mask=torch.ones_like(data)) if self.masked else self.model(data)
        first: torch.Tensor = made.to_tuple()[0]
        return first


def net(number: int) -> Published:
    """The net of a number, with the initial weights of transformers."""
    kind, dice = ARCHITECTURES[number % len(ARCHITECTURES)], Dice(number)
    sizes, shape = kind.sizes(dice)
    config = getattr(transformers, f"{kind.name}Config")(**sizes)
    config._attn_implementation = "eager"
    model = getattr(transformers, kind.model or f"{kind.name}Model")(config)
    return Published(model.encoder if kind.encoder else model, shape, kind.masked)


def _stages(dice: Dice, *, multiple: int = 8, first: tuple[int, int] = (3, 9)) -> list[int]:
    """Channels of four stages, each 1.5 to 2.2 times as many as the one before."""
    widths = [multiple * int(dice.rng.integers(*first))]
    for _ in range(3):
        widths.append(multiple * round(widths[-1] / multiple * float(dice.rng.uniform(1.5, 2.2))))
    return widths


def _depths(dice: Dice) -> list[int]:
    return [dice.one((1, 1, 2)) for _ in range(4)]


def _image(side: int) -> tuple[int, ...]:
    return (1, 3, side, side)


def _resnet(dice: Dice) -> Shaped:
    stages, kind = _stages(dice), dice.one(("basic", "bottleneck"))
    sizes = {"embedding_size": stages[0], "hidden_sizes": stages, "depths": _depths(dice), "layer_type": kind}
    return sizes, _image(dice.one((96, 112, 160, 192)))


def _regnet(dice: Dice) -> Shaped:
    width = dice.one((8, 16, 24))
    stages = _stages(dice, multiple=width, first=(2, 5))
    sizes = {"hidden_sizes": stages, "depths": _depths(dice), "groups_width": width, "layer_type": dice.one(("x", "y"))}
    return sizes | {"embedding_size": dice.one((16, 24, 32))}, _image(dice.one((96, 128, 160, 224)))


def _staged(*sides: int) -> Callable[[Dice], Shaped]:
    """Four stages of blocks, on images of some sides."""

    def sizes(dice: Dice) -> Shaped:
        return {"hidden_sizes": _stages(dice), "depths": _depths(dice)}, _image(dice.one(sides))

    return sizes


def _multiplied(*factors: float) -> Callable[[Dice], Shaped]:
    return lambda dice: ({"depth_multiplier": dice.one(factors)}, _image(dice.one((96, 128, 160, 192))))


def _mobilevit(dice: Dice) -> Shaped:
    widths = [dice.one((48, 64)), dice.one((72, 80, 96)), dice.one((96, 120, 144))]
    stem = [dice.one((8, 16)), dice.one((16, 24)), dice.one((32, 48)), dice.one((48, 64)), dice.one((64, 80))]
    return {"hidden_sizes": widths, "neck_hidden_sizes": [*stem, 96, 320]}, _image(dice.one((96, 128)))


def _pyramid(dice: Dice) -> Shaped:
    per_head, heads = dice.one((16, 24, 32)), [1, 2, 3, 5]
    sizes = {"hidden_sizes": [per_head * head for head in heads], "depths": [1, 1, 1, 1], "num_attention_heads": heads}
    return sizes, _image(dice.one((96, 128, 160)))


def _swin(dice: Dice) -> Shaped:
    heads, window = dice.one((2, 3, 4)), dice.one((4, 7))
    sizes = {"embed_dim": heads * dice.one((16, 24)), "num_heads": [heads, 2 * heads], "depths": [1, 1]}
    return sizes | {"window_size": window, "image_size": 16 * window}, _image(16 * window)


def _focal(dice: Dice) -> Shaped:
    return {"embed_dim": dice.one((32, 48, 64)), "depths": [1, 1, 1, 1], "image_size": 128}, _image(128)


def _swift(dice: Dice) -> Shaped:
    return {"embed_dims": _stages(dice), "depths": [1, 1, 1, 1], "image_size": 128}, _image(128)


def _patches(dice: Dice) -> Shaped:
    heads, patch = dice.one(_HEADS), dice.one((8, 14, 16))
    side, width = patch * dice.one((6, 7, 9, 11)), heads * dice.one(_PER_HEAD)
    sizes = {"image_size": side, "patch_size": patch, "hidden_size": width, "num_attention_heads": heads}
    return sizes | {"num_hidden_layers": 2, "intermediate_size": width * dice.one((2, 3, 4))}, _image(side)


def _video(dice: Dice) -> Shaped:
    sizes, _ = _patches(dice)
    frames = dice.one((2, 4))
    side = 4 * sizes["patch_size"]
    return sizes | {"image_size": side, "num_frames": frames}, (1, frames, 3, side, side)


def _spectrum(dice: Dice) -> Shaped:
    sizes, _ = _patches(dice)
    del sizes["image_size"]
    frames, bins = dice.one((96, 128)), dice.one((48, 64))
    return sizes | {"max_length": frames, "num_mel_bins": bins, "patch_size": 16}, (1, frames, bins)


def _text(dice: Dice) -> Shaped:
    heads = dice.one(_HEADS)
    width = heads * dice.one(_PER_HEAD)
    sizes = {"hidden_size": width, "num_attention_heads": heads, "intermediate_size": width * dice.one((2, 3, 4))}
    return sizes | {"num_hidden_layers": 2, "vocab_size": _VOCABULARY}, (1, dice.one((17, 32, 48, 64, 80, 96, 112)))


def _renamed(**names: str) -> Callable[[Dice], Shaped]:
    """As `_text`, with other names for the same sizes."""

    def sizes(dice: Dice) -> Shaped:
        own, shape = _text(dice)
        return {names.get(name, name): value for name, value in own.items()}, shape

    return sizes


def _with(more: Callable[[Sizes], Sizes], sizes: Callable[[Dice], Shaped] = _text) -> Callable[[Dice], Shaped]:
    """Sizes, and more that follow from them."""

    def both(dice: Dice) -> Shaped:
        own, shape = sizes(dice)
        return own | more(own), shape

    return both


def _waves(dice: Dice) -> Shaped:
    sizes, _ = _text(dice)
    del sizes["vocab_size"]
    layers = dice.one((3, 4))
    groups = dice.one((2, 4, 8))
    sizes["hidden_size"] = sizes["num_attention_heads"] * dice.one((16, 32, 48))
    return sizes | {
        "conv_dim": [dice.one((32, 48, 64, 96)) for _ in range(layers)],
        "conv_stride": [5, 4, 4, 2][:layers],
        "conv_kernel": [10, 8, 4, 4][:layers],
        "num_feat_extract_layers": layers,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": groups,
    }, (1, dice.one((4000, 6000, 8000)))


def _whisper(dice: Dice) -> Shaped:
    sizes, _ = _text(dice)
    heads, bins, frames = sizes["num_attention_heads"], dice.one((40, 80)), dice.one((100, 160, 200))
    width = {"d_model": sizes["hidden_size"], "encoder_ffn_dim": sizes["intermediate_size"], "encoder_layers": 2}
    both = {"encoder_attention_heads": heads, "decoder_attention_heads": heads}
    return width | both | {"num_mel_bins": bins, "max_source_positions": frames // 2}, (1, bins, frames)


def _decoder(_: Sizes) -> Sizes:
    """A language model without a cache."""
    return {"use_cache": False, "max_position_embeddings": 256}


def _embedded(own: Sizes) -> Sizes:
    return {"embedding_size": own["hidden_size"]}


ARCHITECTURES = (
    Architecture("ResNet", _resnet),
    Architecture("Roberta", _text),
    Architecture("MobileNetV1", _multiplied(0.25, 0.35, 0.5, 0.75)),
    Architecture("Llama", _with(_decoder), masked=True),
    Architecture("ConvNext", _staged(96, 128, 160)),
    Architecture("Wav2Vec2", _waves),
    Architecture("RegNet", _regnet),
    Architecture("Albert", _with(lambda own: {"embedding_size": 64})),
    Architecture("Segformer", _pyramid),
    Architecture("T5", _renamed(
        hidden_size="d_model", num_attention_heads="num_heads", intermediate_size="d_ff", num_hidden_layers="num_layers"
    ), model="T5EncoderModel"),
    Architecture("MobileNetV2", _multiplied(0.35, 0.5, 0.75)),
    Architecture("Electra", _with(lambda own: {"embedding_size": 96})),
    Architecture("PoolFormer", _staged(96, 128, 160)),
    Architecture("Mamba", lambda dice: (
        {"hidden_size": dice.one((48, 64, 96)), "num_hidden_layers": 1, "vocab_size": _VOCABULARY, "use_cache": False},
        (1, dice.one((6, 8, 12))),
    )),
    Architecture("MobileViT", _mobilevit),
    Architecture("XLNet", _renamed(
        hidden_size="d_model", num_attention_heads="n_head", intermediate_size="d_inner", num_hidden_layers="n_layer"
    )),
    Architecture("FocalNet", _focal),
    Architecture("Whisper", _whisper, encoder=True),
    Architecture("TextNet", lambda dice: ({}, _image(dice.one((64, 96, 128))))),
    Architecture("SqueezeBert", _with(_embedded)),
    Architecture("PvtV2", _with(lambda _: {"sr_ratios": [8, 4, 2, 1]}, _pyramid)),
    Architecture("OPT", _with(
        lambda own: {**_decoder(own), "word_embed_proj_dim": own["hidden_size"]}, _renamed(intermediate_size="ffn_dim")
    )),
    Architecture("GPTNeoX", _with(_decoder), masked=True),
    Architecture("ConvNextV2", _staged(96, 128)),
    Architecture("MobileBert", _with(lambda own: {
        "embedding_size": 64, "intra_bottleneck_size": own["num_attention_heads"] * 16
    })),
    Architecture("Swin", _swin),
    Architecture("SEW", lambda dice: (
        {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256},
        (1, dice.one((4000, 8000))),
    )),
    Architecture("SwiftFormer", _swift),
    Architecture("Deberta", _text),
    Architecture("Beit", _patches),
    Architecture("DeiT", _patches),
    Architecture("Qwen2", _with(lambda own: {**_decoder(own), "num_key_value_heads": 1}), masked=True),
    Architecture("Timesformer", _video),
    Architecture("MPNet", _text),
    Architecture("ViT", _patches),
    Architecture("Falcon", _with(_decoder, _renamed(intermediate_size="ffn_hidden_size"))),
    Architecture("AST", _spectrum),
    Architecture("DistilBert", _renamed(
        hidden_size="dim", num_attention_heads="n_heads", intermediate_size="hidden_dim", num_hidden_layers="n_layers"
    )),
    Architecture("Hubert", _waves),
    Architecture("Phi", _with(_decoder), masked=True),
    Architecture("VideoMAE", _video),
    Architecture("Esm", _with(lambda own: {"position_embedding_type": "rotary", "pad_token_id": 1})),
    Architecture("RoFormer", _with(_embedded)),
    Architecture("Gemma", _with(lambda own: {
        **_decoder(own), "num_key_value_heads": 1, "head_dim": own["hidden_size"] // own["num_attention_heads"]
    }), masked=True),
    Architecture("Bart", _with(lambda own: {"decoder_attention_heads": own["encoder_attention_heads"]}, _renamed(
        hidden_size="d_model", num_attention_heads="encoder_attention_heads", intermediate_size="encoder_ffn_dim",
        num_hidden_layers="encoder_layers",
    )), encoder=True),
)  # fmt: skip
