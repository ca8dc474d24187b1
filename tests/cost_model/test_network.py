"""The network learns from the wiring of kernels, and says in NumPy what it learned in torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cost_model.dataset import Dataset, Inputs, dataset, described
from cost_model.features import Floats
from cost_model.kernel_ops import KernelOps
from cost_model.network import KernelNetwork, Scale
from cost_model.network_training import Layers, train_network
from cost_model.structure import Structure
from tests.partitions import partitioned, taken_apart
from tests.tuning_logs.samples import kernel
from tuning_logs import KernelRecord


def chain(length: int, sorted_ops: bool) -> Structure:
    """A chain of four exponentials and four tangents on tensors of some length: by turns, or exponentials first."""
    names = ["exp"] * 4 + ["tanh"] * 4 if sorted_ops else ["exp", "tanh"] * 4
    values = [["float32", [length, 64]] for _ in range(9)]
    ops = [[name, "{}", 0, length * 64.0, 0, [position], 1] for position, name in enumerate(names)]
    return {"ops": ops, "values": values, "outputs": [8]}


def chains(count: int) -> list[KernelRecord]:
    """Two chains of each length, of which the sorted one is twice as slow."""
    return [
        kernel(
            key=f"{2 * length + sorted_ops:032x}",
            structure=chain(length, sorted_ops),
            median_ms=0.001 * length * (1 + sorted_ops),
        )
        for length in range(1, count)
        for sorted_ops in (False, True)
    ]


def lengths(data: Dataset) -> Floats:
    """Of the chains: what is left of their times, as logarithms, is their order."""
    return np.array([int(key, 16) // 2 for key in data.keys.tolist()], dtype=np.float64)


def test_kernels_are_told_apart_that_differ_by_their_wiring_alone() -> None:
    data = dataset(chains(100))
    np.testing.assert_array_equal(data.rows[::2], data.rows[1::2])  # rows do not
    unseen = lengths(data) >= 80
    learned, test = data.take(~unseen), data.take(unseen)
    network = train_network(learned, np.log2(learned.ms / lengths(learned)), epochs=40, seed=0)
    ms = np.exp2(network.predict(test)) * lengths(test)
    assert np.median(np.abs(ms / test.ms - 1)) < 0.15


def test_a_prediction_depends_on_the_seed_alone_and_not_on_what_stands_beside_a_kernel() -> None:
    data = dataset(chains(30))
    left = np.random.default_rng(0).normal(size=len(data))
    network, again = (train_network(data, left, epochs=2, seed=0) for _ in range(2))
    found = network.predict(data)
    np.testing.assert_array_equal(again.predict(data), found)
    some = np.isin(np.arange(len(data)), [7, 8])
    np.testing.assert_allclose(network.predict(data.take(some)), found[some], atol=1e-5)
    assert not np.array_equal(train_network(data, left, epochs=2, seed=1).predict(data), found)


def test_numpy_says_what_torch_says() -> None:
    graph, of_op = partitioned(seed=1, num_ops=80)
    features, kernels = described(taken_apart(graph, of_op))
    which = np.arange(len(kernels))[::-1].copy()
    batch = kernels.batch(which)
    torch.manual_seed(0)
    layers = Layers(kernels.table.shape[1], features.shape[1])
    weights = {name: tensor.numpy() for name, tensor in layers.state_dict().items()}
    scales = Scale.of(kernels.table), Scale.of(features)
    network = KernelNetwork(*scales, np.array([-100.0, 100.0]), weights)
    with torch.no_grad():
        expected = layers(
            batch,
            torch.from_numpy(scales[0].apply(kernels.table[batch.ops])),
            torch.from_numpy(scales[1].apply(features[which])),
            torch.arange(len(which)),
        )
    found = network.predict(Inputs(features[which], kernels, which))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
    again = KernelNetwork.from_bytes(network.to_bytes())
    np.testing.assert_array_equal(again.predict(Inputs(features[which], kernels, which)), found)


def test_a_batch_has_the_ops_and_edges_of_its_kernels() -> None:
    graph, of_op = partitioned(seed=0, num_ops=60)
    structures = taken_apart(graph, of_op)
    kernels = described(structures)[1]
    everything = kernels.batch(np.arange(len(structures)))
    assert everything.lengths.tolist() == [len(one["ops"]) for one in structures]
    assert everything.ops.tolist() == list(range(graph.num_ops))
    assert len(everything.source) == 2 * np.sum(of_op[graph.edge_src] == of_op[graph.edge_dst])
    large, small = np.argsort(-everything.lengths)[[0, 4]]
    both, first, second = (kernels.batch(np.array(which)) for which in ([large, small], [large], [small]))
    assert both.ops.tolist() == [*first.ops, *second.ops]

    def edges(kernels_of: KernelOps, which: list[int]) -> set[tuple[int, int]]:
        batch = kernels_of.batch(np.array(which))
        return set(zip(batch.source.tolist(), batch.reader.tolist(), strict=True))

    moved = {(source + first.lengths[0], reader + first.lengths[0]) for source, reader in edges(kernels, [small])}
    assert edges(kernels, [large, small]) == edges(kernels, [large]) | moved
    assert edges(kernels, [large])
    assert moved


def test_operators_never_seen_are_all_the_same() -> None:
    found = chains(30)
    strange = []
    for key, name in (("e" * 32, "round"), ("f" * 32, "ceil")):
        other = chain(5, False)
        other["ops"][0][0] = name
        strange.append(replace(found[0], key=key, structure=other))
    data = dataset(found)
    one, two = train_network(data, np.log2(data.ms), epochs=5, seed=0).predict(dataset(strange))
    assert one == pytest.approx(two, rel=1e-5)
