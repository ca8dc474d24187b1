"""Dataflow graphs of well-known families at any size, from 100 to a million ops and more.

The families are those of the GO paper (Zhou et al., NeurIPS 2020, table 1) and a GPT; sizes and arithmetic follow
from the shapes of their layers.
"""

from collections.abc import Callable

import numpy as np

from tvm_go.by_name import by_name
from tvm_go.errors import UsageError
from tvm_go.simulate.families.attention import draw_gpt, draw_transformer_xl
from tvm_go.simulate.families.convolutional import draw_amoebanet, draw_inception, draw_wavenet
from tvm_go.simulate.families.recurrent import draw_gnmt, draw_rnnlm
from tvm_go.simulate.families.training import with_backward
from tvm_go.simulate.sized_graph import SizedGraph

FAMILIES: dict[str, Callable[[int, np.random.Generator], SizedGraph]] = {
    "rnnlm": draw_rnnlm,
    "gnmt": draw_gnmt,
    "transformer-xl": draw_transformer_xl,
    "wavenet": draw_wavenet,
    "inception": draw_inception,
    "amoebanet": draw_amoebanet,
    "gpt": draw_gpt,
}

SMALLEST = 100


def generate(family: str, num_ops: int, rng: np.random.Generator, *, training: bool = False) -> SizedGraph:
    """A graph of a family, within 20 % of `num_ops` ops, forward and backward together.

    Raises
    ------
    UsageError
        For an unknown family, or fewer than `SMALLEST` ops.
    """
    draw = by_name(FAMILIES, family, "family")
    if num_ops < SMALLEST:
        raise UsageError(f"{num_ops} ops are too few for a whole model; ask for at least {SMALLEST}")
    if training:
        return with_backward(draw(num_ops // 2, rng))
    return draw(num_ops, rng)


__all__ = ["FAMILIES", "SMALLEST", "generate", "with_backward"]
