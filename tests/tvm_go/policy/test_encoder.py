"""The encoder sees the wiring, in both directions, and no numbering."""

import numpy as np
import torch

from tests.tvm_go.policy.drawn import SMALL, machine_of, random_workload
from tests.tvm_go.policy.test_features import renumbered
from tvm_go.policy import Policy, graph_input
from tvm_go.policy.batch import collate
from tvm_go.simulate import Workload


def test_embeddings_do_not_depend_on_the_numbering() -> None:
    rng = np.random.default_rng(0)
    encoder = Policy(SMALL).encoder
    for _ in range(5):
        workload = random_workload(rng)
        again, place = renumbered(workload, rng)
        one, other = (encoder(collate([graph_input(w, machine_of(2))], SMALL.segment)) for w in (workload, again))
        assert torch.allclose(one[0], other[0][torch.from_numpy(place)], atol=1e-4)
        assert torch.allclose(one[1].embedding, other[1].embedding, atol=1e-4)


def test_each_layer_looks_one_edge_further_both_ways() -> None:
    count = 9
    chain = np.column_stack([np.arange(count - 1), np.arange(1, count)])
    workload = Workload.of("chain", ("cpu", "gpu"), np.ones((count, 2)), chain, output_bytes=np.ones(count))
    batch = collate([graph_input(workload, machine_of(1))], SMALL.segment)
    encoder = Policy(SMALL).encoder
    features = batch.op_features.clone().requires_grad_()
    x = encoder.input(torch.cat([features, encoder.op_type(batch.op_type)], dim=-1))
    context = encoder(batch)[1]
    for layer in encoder.layers:
        x = layer(x, batch, context)
    x[4].sum().backward()
    assert features.grad is not None
    reached = features.grad.abs().sum(dim=-1) > 0
    assert reached.tolist() == [2 <= op <= 6 for op in range(count)]  # two layers
