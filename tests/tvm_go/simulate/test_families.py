"""Generated graphs: sizes, arithmetic, structure."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvm_go.errors import UsageError
from tvm_go.simulate.families import FAMILIES, generate, with_backward
from tvm_go.simulate.families.attention import gpt, transformer_xl
from tvm_go.simulate.families.convolutional import amoebanet_cell, inception_cell, staged, wavenet
from tvm_go.simulate.families.recurrent import gnmt, rnnlm
from tvm_go.simulate.families.stack import Back, CellOp, Stack
from tvm_go.simulate.sized_graph import SizedGraph

_VOCABULARY = 32_000


def products(graph: SizedGraph) -> float:
    """FLOPs of matrix products and convolutions."""
    heavy = [t in ("matmul", "batch_matmul", "conv", "depthwise_conv") for t in graph.op_types]
    return float(graph.flops[np.array(heavy)[graph.op_type]].sum())


def ops_of(graph: SizedGraph, op_type: str) -> int:
    return int((graph.op_type == graph.op_types.index(op_type)).sum())


@pytest.mark.parametrize("family", sorted(FAMILIES))
@given(num_ops=st.integers(100, 3000), training=st.booleans(), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_size_is_within_a_fifth_and_producers_come_first(family: str, num_ops: int, training: bool, seed: int) -> None:
    graph = generate(family, num_ops, np.random.default_rng(seed), training=training)
    assert abs(graph.num_ops - num_ops) <= 0.2 * num_ops
    assert (graph.edges[:, 0] < graph.edges[:, 1]).all()
    assert graph.edges.min() >= 0 and graph.edges.max() < graph.num_ops
    for cost in (graph.flops, graph.output_bytes, graph.weight_bytes, graph.resident_bytes):
        assert np.isfinite(cost).all() and (cost >= 0).all()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_only_inputs_read_nothing(family: str) -> None:
    graph = generate(family, 700, np.random.default_rng(1), training=True)
    reads = np.bincount(graph.edges[:, 1], minlength=graph.num_ops)
    assert {graph.op_types[t] for t in graph.op_type[reads == 0]} == {"input"}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_same_seed_same_graph(family: str) -> None:
    one, other = (generate(family, 900, np.random.default_rng(5), training=True) for _ in range(2))
    for field in fields(one):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_seeds_change_the_hyperparameters(family: str) -> None:
    work = {float(generate(family, 900, np.random.default_rng(seed)).flops.sum()) for seed in range(8)}
    assert len(work) > 1


def test_a_million_ops_are_built() -> None:
    graph = generate("wavenet", 1_000_000, np.random.default_rng(0), training=True)
    assert abs(graph.num_ops - 1_000_000) < 1000
    assert (graph.edges[:, 0] < graph.edges[:, 1]).all()


def test_language_model_does_the_arithmetic_of_its_layers() -> None:
    layers, steps, batch, hidden = 3, 7, 4, 128
    graph = rnnlm(layers=layers, steps=steps, batch=batch, hidden=hidden)
    cell = 2 * batch * (2 * hidden) * (4 * hidden)
    assert products(graph) == steps * (layers * cell + 2 * batch * hidden * _VOCABULARY)
    assert graph.resident_bytes.sum() == 4 * (layers * 8 * hidden**2 + 2 * _VOCABULARY * hidden)
    assert ops_of(graph, "tanh") == 2 * layers * steps


def test_translation_model_does_the_arithmetic_of_its_layers() -> None:
    layers, source, target, batch, hidden = 4, 5, 3, 2, 64
    graph = gnmt(layers=layers, source_steps=source, target_steps=target, batch=batch, hidden=hidden)

    def cell(inputs: int) -> int:
        return 2 * batch * (inputs + hidden) * 4 * hidden

    encoder = source * (2 * cell(hidden) + cell(2 * hidden) + (layers - 2) * cell(hidden))
    attention = 2 * batch * hidden * hidden + 2 * (2 * batch * source * hidden)
    decoder = target * (cell(hidden) + attention + cell(2 * hidden) + (layers - 2) * cell(hidden))
    assert products(graph) == encoder + decoder + target * 2 * batch * hidden * _VOCABULARY


def test_gpt_does_two_operations_per_weight_and_token_and_those_of_attention() -> None:
    layers, shared, batch, length, hidden = 5, 3, 2, 64, 128
    graph = gpt(layers=layers, micro_batches=shared, batch=batch, length=length, hidden=hidden)
    tokens = shared * batch * length
    weights = layers * 12 * hidden**2 + hidden * _VOCABULARY
    assert products(graph) == 2 * weights * tokens + layers * 4 * tokens * length * hidden
    assert graph.resident_bytes.sum() == 4 * (weights + (_VOCABULARY + length) * hidden)


def test_transformer_xl_attends_to_the_segment_before() -> None:
    layers, batch, length, hidden = 2, 2, 32, 128
    tokens, span = batch * length, 2 * length
    graphs = [
        transformer_xl(layers=layers, segments=segments, batch=batch, length=length, hidden=hidden)
        for segments in (1, 2, 3)
    ]
    projections = 2 * tokens * hidden**2 * (1 + 2 + 2 + 1 + 8) + 2 * span * hidden**2
    attention = 3 * 2 * tokens * span * hidden
    for segments, graph in enumerate(graphs, start=1):
        assert products(graph) == segments * (layers * (projections + attention) + 2 * tokens * hidden * _VOCABULARY)
    edges = [len(graph.edges) for graph in graphs]
    assert edges[1] - 2 * edges[0] == layers  # each layer reads one tensor of the segment before


def test_wavenet_reads_the_chunk_before() -> None:
    layers, batch, chunk, channels = 6, 2, 100, 32
    one, two = (wavenet(layers=layers, chunks=chunks, batch=batch, chunk=chunk, channels=channels) for chunks in (1, 2))
    samples = batch * chunk
    layer = 2 * samples * channels**2 * (2 + 2 + 1 + 1)
    ends = 2 * samples * (2 * channels + channels**2 + channels * 256)
    assert products(one) == layers * layer + ends
    assert products(two) == 2 * products(one)
    assert len(two.edges) - 2 * len(one.edges) == 2 * layers  # filter and gate


@pytest.mark.parametrize("cell", [inception_cell, amoebanet_cell])
def test_micro_batches_multiply_the_arithmetic_and_share_the_weights(cell: type) -> None:
    graphs = [staged("staged", cell, cells=7, stem=2, micro_batches=shared, batch=2, channels=64) for shared in (1, 3)]
    assert products(graphs[1]) == pytest.approx(3 * products(graphs[0]))
    assert graphs[1].resident_bytes.sum() == pytest.approx(graphs[0].resident_bytes.sum())


def test_inception_cell_does_the_arithmetic_of_its_branches() -> None:
    pixels, channels = 1225.0, 256
    branch = channels // 4
    stack = Stack("cell")
    below = stack.add((CellOp("x", "input", (), 1.0),))["x"][0]
    stack.add(inception_cell(pixels, channels), below={"out": (below,)})
    weights = 4 * channels * branch + branch**2 * (25 + 9 + 9)
    assert products(stack.graph()) == 2 * pixels * weights


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_backward_takes_twice_the_arithmetic_on_the_devices_of_the_forward_ops(family: str) -> None:
    forward = generate(family, 500, np.random.default_rng(2))
    graph = with_backward(forward)
    count = forward.num_ops
    assert graph.flops[count:].sum() == pytest.approx(2 * forward.flops.sum())
    assert graph.resident_bytes.sum() == pytest.approx(4 * forward.resident_bytes.sum())
    assert graph.num_ops == 2 * count - ops_of(forward, "input")
    label = graph.colocation
    assert set(label[count:].tolist()) <= set(label[:count].tolist())
    mirrored = [name.removesuffix("_backward") for name in graph.op_types]
    for op in range(count, graph.num_ops, 37):
        members = [mirrored[graph.op_type[i]] for i in np.flatnonzero(label == label[op])]
        assert len(set(members)) == 1


def test_backward_of_a_chain_reads_gradients_and_what_its_op_read() -> None:
    stack = Stack("chain")
    cell = (
        CellOp("x", "input", (), 8.0),
        CellOp("a", "relu", ("x",), 4.0, flops=1.0),
        CellOp("b", "add", ("a",), 2.0, flops=1.0),
        CellOp("c", "tanh", ("b",), 1.0, flops=1.0),
    )
    stack.add(cell)
    graph = with_backward(stack.graph())
    # 4, 5, 6: backward of c, b, a; the one of b is linear and needs only its gradient
    assert sorted(map(tuple, graph.edges[3:].tolist())) == [(0, 6), (2, 4), (3, 4), (4, 5), (5, 6)]
    assert graph.output_bytes[4:].tolist() == [2.0, 4.0, 8.0]


def test_a_cell_looks_back_over_layers_and_steps() -> None:
    stack = Stack("grid")
    below = stack.add((CellOp("x", "input", (), 1.0),), steps=3)["x"][0]
    cell = (CellOp("y", "add", (Back("y", layers=1), Back("y", layers=1, steps=1), Back("y", steps=2)), 1.0),)
    numbers = stack.add(cell, layers=2, steps=3, below={"y": (below,)})["y"]
    assert numbers.tolist() == [[3, 4, 5], [6, 7, 8]]
    same_step = [(0, 3), (1, 4), (2, 5), (3, 6), (4, 7), (5, 8)]
    step_before = [(0, 4), (1, 5), (3, 7), (4, 8)]
    two_steps = [(3, 5), (6, 8)]
    assert sorted(map(tuple, stack.graph().edges.tolist())) == sorted(same_step + step_before + two_steps)


def test_ops_of_all_steps_share_the_weights_of_their_layer() -> None:
    stack = Stack("grid")
    numbers = stack.add((CellOp("w", "matmul", (), 1.0, weight_bytes=10.0),), layers=2, steps=3)["w"]
    graph = stack.graph()
    assert graph.colocation[numbers].tolist() == [[0, 0, 0], [3, 3, 3]]
    assert graph.resident_bytes[numbers].tolist() == [[10, 0, 0], [10, 0, 0]]


def test_unknown_families_and_tiny_graphs_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown family 'bert'; choose from rnnlm"):
        generate("bert", 1000, np.random.default_rng(0))
    with pytest.raises(UsageError, match="99 ops are too few"):
        generate("gpt", 99, np.random.default_rng(0))
