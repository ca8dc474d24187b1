"""Recurrent families: a language model of LSTM layers, and GNMT with attention; both unrolled over their steps."""

from __future__ import annotations

import numpy as np

from tvm_go.simulate.families.fit import depth_for, fitted, repeats_for
from tvm_go.simulate.families.layers import classifier, concat, lookup, matmul, pointwise, product, source
from tvm_go.simulate.families.stack import Back, Cell, Stack
from tvm_go.simulate.sized_graph import SizedGraph

_BATCHES = (16, 32, 64)
_HIDDEN = (512, 1024)
_DEPTHS = (8, 4, 2, 1)
_VOCABULARY = 32_000


def lstm(batch: int, inputs: int, hidden: int) -> Cell:
    """One step of an LSTM layer (Hochreiter and Schmidhuber, 1997), as frameworks unroll it; its output is "hidden"."""
    size = batch * hidden
    return (
        concat("joined", batch * (inputs + hidden), (Back("hidden", layers=1), Back("hidden", steps=1))),
        matmul("gates", batch, inputs + hidden, 4 * hidden, "joined"),
        pointwise("biased", "bias_add", 4 * size, "gates"),
        pointwise("parts", "split", 4 * size, "biased", flops_per_element=0.0),
        pointwise("input gate", "sigmoid", size, "parts", flops_per_element=4.0),
        pointwise("forget gate", "sigmoid", size, "parts", flops_per_element=4.0),
        pointwise("output gate", "sigmoid", size, "parts", flops_per_element=4.0),
        pointwise("candidate", "tanh", size, "parts", flops_per_element=4.0),
        pointwise("kept", "multiply", size, "forget gate", Back("state", steps=1)),
        pointwise("taken", "multiply", size, "input gate", "candidate"),
        pointwise("state", "add", size, "kept", "taken"),
        pointwise("squashed", "tanh", size, "state", flops_per_element=4.0),
        pointwise("hidden", "multiply", size, "output gate", "squashed"),
    )


def rnnlm(*, layers: int, steps: int, batch: int, hidden: int) -> SizedGraph:
    """Language model of LSTM layers (Jozefowicz et al., "Exploring the limits of language modeling", 2016)."""
    stack = Stack("rnnlm")
    tokens = stack.add((source("tokens", batch * steps),))["tokens"]
    words = stack.add((lookup("word", batch, _VOCABULARY, hidden, "tokens"),), steps=steps, given={"tokens": tokens})
    top = stack.add(lstm(batch, hidden, hidden), layers=layers, steps=steps, below={"hidden": (words["word"][0],)})
    stack.add(classifier(batch, hidden, _VOCABULARY, "top"), steps=steps, given={"top": top["hidden"][-1]})
    return stack.graph()


def gnmt(*, layers: int, source_steps: int, target_steps: int, batch: int, hidden: int) -> SizedGraph:
    """Translation by LSTM layers (Wu et al., "Google's Neural Machine Translation System", 2016).

    The first layer of the encoder runs both ways. The first layer of the decoder attends to the encoder at every step,
    and what it finds is joined to what the next layer reads (here: once, below that layer).
    """
    stack = Stack("gnmt")
    tokens = stack.add((source("source", batch * source_steps), source("target", batch * target_steps)))
    word = (lookup("word", batch, _VOCABULARY, hidden, "tokens"),)
    words = stack.add(word, steps=source_steps, given={"tokens": tokens["source"]})["word"][0]
    first = lstm(batch, hidden, hidden)
    forth = stack.add(first, steps=source_steps, below={"hidden": (words,)})["hidden"]
    back = stack.add(first, steps=source_steps, below={"hidden": (words[::-1],)})["hidden"][:, ::-1]
    both = (concat("both", 2 * batch * hidden, ("forth", "back")),)
    encoded = stack.add(both, steps=source_steps, given={"forth": forth, "back": back})["both"]
    inputs = 2 * hidden
    for _ in range(layers - 1):
        encoded = stack.add(lstm(batch, inputs, hidden), steps=source_steps, below={"hidden": (encoded[0],)})["hidden"]
        inputs = hidden
    memory = (concat("memory", batch * source_steps * inputs, ("encoded",)),)
    memories = stack.add(memory, given={"encoded": encoded[0][:, None, None]})["memory"]

    words = stack.add(word, steps=target_steps, given={"tokens": tokens["target"]})["word"][0]
    queries = stack.add(first, steps=target_steps, below={"hidden": (words,)})["hidden"]
    attention = (
        matmul("query", batch, hidden, inputs, "state"),
        product("score", batch, 1, inputs, source_steps, "query", "memory"),
        pointwise("weight", "softmax", batch * source_steps, "score", flops_per_element=5.0),
        product("context", batch, 1, source_steps, inputs, "weight", "memory"),
        concat("attended", batch * (hidden + inputs), ("state", "context")),
    )
    found = stack.add(attention, steps=target_steps, given={"state": queries, "memory": memories})["attended"]
    inputs += hidden
    for _ in range(layers - 1):
        found = stack.add(lstm(batch, inputs, hidden), steps=target_steps, below={"hidden": (found[0],)})["hidden"]
        inputs = hidden
    stack.add(classifier(batch, inputs, _VOCABULARY, "top"), steps=target_steps, given={"top": found[0]})
    return stack.graph()


def draw_rnnlm(num_ops: int, rng: np.random.Generator) -> SizedGraph:
    """A language model of about `num_ops` ops; depth, width and batch are drawn."""
    layers, batch, hidden = depth_for(num_ops // 120, _DEPTHS, rng), int(rng.choice(_BATCHES)), int(rng.choice(_HIDDEN))
    return fitted(num_ops, lambda steps: rnnlm(layers=layers, steps=steps, batch=batch, hidden=hidden))


def draw_gnmt(num_ops: int, rng: np.random.Generator) -> SizedGraph:
    """A translation model of about `num_ops` ops; depth, width and batch are drawn."""
    layers, batch, hidden = depth_for(num_ops // 240, _DEPTHS, rng), int(rng.choice(_BATCHES)), int(rng.choice(_HIDDEN))

    def build(source_steps: int, target_steps: int) -> SizedGraph:
        return gnmt(layers=layers, source_steps=source_steps, target_steps=target_steps, batch=batch, hidden=hidden)

    steps = repeats_for(num_ops, lambda steps: build(steps, steps))
    return fitted(num_ops, lambda target_steps: build(steps, target_steps))
