"""Attention families: Transformer-XL with its memory of the last segment, and a GPT."""

from __future__ import annotations

import numpy as np

from tvm_go.simulate.families.fit import fitted, micro_batches
from tvm_go.simulate.families.layers import classifier, concat, lookup, matmul, pointwise, product, source
from tvm_go.simulate.families.stack import Back, Cell, Stack
from tvm_go.simulate.sized_graph import SizedGraph

_HEAD = 64
_VOCABULARY = 32_000


def _feed_forward(tokens: int, hidden: int, read: str) -> Cell:
    return (
        matmul("widened", tokens, hidden, 4 * hidden, read),
        pointwise("widened bias", "bias_add", 4 * tokens * hidden, "widened"),
        pointwise("activated", "gelu", 4 * tokens * hidden, "widened bias", flops_per_element=8.0),
        matmul("narrowed", tokens, 4 * hidden, hidden, "activated"),
        pointwise("narrowed bias", "bias_add", tokens * hidden, "narrowed"),
    )


def gpt_layer(batch: int, length: int, hidden: int) -> Cell:
    """One layer, its norms in front (Radford et al., "Language models are unsupervised multitask learners", 2019)."""
    tokens, heads = batch * length, hidden // _HEAD
    below = Back("out", layers=1)
    return (
        pointwise("norm", "layer_norm", tokens * hidden, below, flops_per_element=8.0),
        matmul("joint", tokens, hidden, 3 * hidden, "norm"),
        pointwise("joint bias", "bias_add", 3 * tokens * hidden, "joint"),
        pointwise("parts", "split", 3 * tokens * hidden, "joint bias", flops_per_element=0.0),
        product("scores", batch * heads, length, _HEAD, length, "parts"),
        pointwise("masked", "add", heads * tokens * length, "scores"),
        pointwise("weights", "softmax", heads * tokens * length, "masked", flops_per_element=5.0),
        product("context", batch * heads, length, length, _HEAD, "weights", "parts"),
        matmul("projected", tokens, hidden, hidden, "context"),
        pointwise("projected bias", "bias_add", tokens * hidden, "projected"),
        pointwise("attended", "add", tokens * hidden, "projected bias", below),
        pointwise("second norm", "layer_norm", tokens * hidden, "attended", flops_per_element=8.0),
        *_feed_forward(tokens, hidden, "second norm"),
        pointwise("out", "add", tokens * hidden, "narrowed bias", "attended"),
    )


def gpt(*, layers: int, micro_batches: int, batch: int, length: int, hidden: int) -> SizedGraph:
    """Layers of attention over micro-batches that share the weights."""
    stack, tokens = Stack("gpt"), batch * length
    embedding = (
        source("tokens", tokens),
        lookup("word", tokens, _VOCABULARY, hidden, "tokens"),
        lookup("position", tokens, length, hidden, "tokens"),
        pointwise("embedded", "add", tokens * hidden, "word", "position"),
    )
    embedded = stack.add(embedding, steps=micro_batches)["embedded"][0]
    layer = gpt_layer(batch, length, hidden)
    top = stack.add(layer, layers=layers, steps=micro_batches, below={"out": (embedded,)})["out"][-1]
    head = (
        pointwise("norm", "layer_norm", tokens * hidden, "top", flops_per_element=8.0),
        *classifier(tokens, hidden, _VOCABULARY, "norm"),
    )
    stack.add(head, steps=micro_batches, given={"top": top})
    return stack.graph()


def transformer_xl_layer(batch: int, length: int, hidden: int) -> Cell:
    """One layer over one segment; it also attends to the same layer's input of the segment before."""
    tokens, heads, span = batch * length, hidden // _HEAD, 2 * length
    below, memory = Back("out", layers=1), Back("out", layers=1, steps=1)
    return (
        concat("extended", 2 * tokens * hidden, (memory, below)),
        matmul("query", tokens, hidden, hidden, below),
        matmul("key", 2 * tokens, hidden, hidden, "extended"),
        matmul("value", 2 * tokens, hidden, hidden, "extended"),
        matmul("distance", span, hidden, hidden, "distances"),
        product("by content", batch * heads, length, _HEAD, span, "query", "key"),
        product("by distance", batch * heads, length, _HEAD, span, "query", "distance"),
        pointwise("scores", "add", heads * tokens * span, "by content", "by distance"),
        pointwise("weights", "softmax", heads * tokens * span, "scores", flops_per_element=5.0),
        product("context", batch * heads, length, span, _HEAD, "weights", "value"),
        matmul("projected", tokens, hidden, hidden, "context"),
        pointwise("attended", "add", tokens * hidden, "projected", below),
        pointwise("norm", "layer_norm", tokens * hidden, "attended", flops_per_element=8.0),
        *_feed_forward(tokens, hidden, "norm"),
        pointwise("sum", "add", tokens * hidden, "narrowed bias", "norm"),
        pointwise("out", "layer_norm", tokens * hidden, "sum", flops_per_element=8.0),
    )


def transformer_xl(*, layers: int, segments: int, batch: int, length: int, hidden: int) -> SizedGraph:
    """Attention with a memory (Dai et al., "Transformer-XL", ACL 2019), unrolled over segments."""
    stack, tokens = Stack("transformer-xl"), batch * length
    distances = stack.add((source("distances", 2 * length * hidden),))["distances"]
    embedding = (source("tokens", tokens), lookup("word", tokens, _VOCABULARY, hidden, "tokens"))
    words = stack.add(embedding, steps=segments)["word"][0]
    layer = transformer_xl_layer(batch, length, hidden)
    top = stack.add(layer, layers=layers, steps=segments, below={"out": (words,)}, given={"distances": distances})
    stack.add(classifier(tokens, hidden, _VOCABULARY, "top"), steps=segments, given={"top": top["out"][-1]})
    return stack.graph()


def draw_gpt(num_ops: int, rng: np.random.Generator) -> SizedGraph:
    """A GPT of about `num_ops` ops; width and batch are drawn."""
    batch, hidden = int(rng.choice((1, 2, 4))), int(rng.choice((768, 1024, 1280)))
    shared = micro_batches(num_ops, 120)
    return fitted(
        num_ops, lambda layers: gpt(layers=layers, micro_batches=shared, batch=batch, length=512, hidden=hidden)
    )


def draw_transformer_xl(num_ops: int, rng: np.random.Generator) -> SizedGraph:
    """A Transformer-XL of about `num_ops` ops; width and batch are drawn."""
    batch, hidden = int(rng.choice((4, 8, 16))), int(rng.choice((512, 768, 1024)))
    segments = micro_batches(num_ops, 200)
    return fitted(
        num_ops, lambda layers: transformer_xl(layers=layers, segments=segments, batch=batch, length=128, hidden=hidden)
    )
