"""The hyperparameters that give a graph of about the size that is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tvm_go.simulate.sized_graph import SizedGraph


def repeats_for(num_ops: int, build: Callable[[int], SizedGraph]) -> int:
    """The largest argument, at least 1, with at most `num_ops` ops; each repeat must add as many ops as the last."""
    one, two = build(1).num_ops, build(2).num_ops
    return max(1, 1 + (num_ops - one) // (two - one))


def fitted(num_ops: int, build: Callable[[int], SizedGraph]) -> SizedGraph:
    """The graph that comes closest in size; each repeat must add as many ops as the last."""
    one, two = build(1).num_ops, build(2).num_ops
    return build(max(1, 1 + round((num_ops - one) / (two - one))))


def depth_for(limit: int, depths: Sequence[int], rng: np.random.Generator) -> int:
    """One of the depths that are within a limit, or the least of them."""
    return int(rng.choice([depth for depth in depths if depth <= limit] or [min(depths)]))


def micro_batches(num_ops: int, ops_of_a_usual_model: int) -> int:
    """Models that are larger than usual grow as much in micro-batches as in depth."""
    return max(1, math.isqrt(num_ops // ops_of_a_usual_model))
