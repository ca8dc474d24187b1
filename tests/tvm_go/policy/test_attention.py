"""Segments attend to themselves and to the one before, and to nothing else."""

from dataclasses import replace

import pytest
import torch

from tests.tvm_go.policy.drawn import SMALL, random_input
from tvm_go.policy import chunks
from tvm_go.policy.attention import RecurrentAttention
from tvm_go.policy.batch import GraphBatch, collate
from tvm_go.policy.modulation import Context

SEGMENT, OPS = 4, 14  # the last segment holds two


def layer_and_batch(ops: int = OPS) -> tuple[RecurrentAttention, GraphBatch, Context]:
    torch.manual_seed(0)
    batch = collate([random_input(0, num_ops=ops)], SEGMENT)
    context = Context(torch.randn(1, SMALL.width), batch.graph_of_op)
    return RecurrentAttention(replace(SMALL, segment=SEGMENT)), batch, context


@pytest.mark.parametrize("op", [0, 3, 4, 7, 12])
def test_an_op_is_seen_by_its_segment_and_the_next_and_no_further(op: int) -> None:
    layer, batch, context = layer_and_batch()
    x = torch.randn(1, OPS, SMALL.width)
    other = x.clone()
    other[0, op] += torch.randn(SMALL.width)
    moved = (layer(other, batch.segments, context) - layer(x, batch.segments, context)).abs().amax(dim=-1)[0]
    segment = op // SEGMENT
    expected = [i // SEGMENT in (segment, segment + 1) for i in range(OPS)]
    assert (moved > 1e-6).tolist() == expected


def test_the_memory_is_detached() -> None:
    layer, batch, context = layer_and_batch()
    x = torch.randn(1, OPS, SMALL.width, requires_grad=True)
    layer(x, batch.segments, context)[0, SEGMENT : 2 * SEGMENT].sum().backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(dim=-1) > 0
    assert reached.tolist() == [i // SEGMENT == 1 for i in range(OPS)]


def test_attention_knows_no_positions() -> None:
    layer, batch, context = layer_and_batch()
    x = torch.randn(1, OPS, SMALL.width)
    order = torch.cat([torch.tensor([2, 0, 3, 1]), torch.arange(SEGMENT, OPS)])
    one, other = (layer(rows, batch.segments, context) for rows in (x, x[:, order]))
    assert torch.allclose(one[:, order], other, atol=1e-5)


@pytest.mark.parametrize("grad", [False, True])
def test_parts_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch, grad: bool) -> None:
    layer, batch, context = layer_and_batch()
    found = []
    for floats in (1 << 25, 1):
        monkeypatch.setattr(chunks, "_FLOATS_AT_ONCE", floats)
        torch.manual_seed(1)
        x = torch.randn(2, OPS, SMALL.width, requires_grad=grad)
        with torch.set_grad_enabled(grad):
            out = layer(x, batch.segments, context)
        if grad:
            layer.zero_grad()
            out.square().sum().backward()
            found.append([out, x.grad, *(weight.grad for weight in layer.parameters())])
        else:
            found.append([out])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_segments_hold_every_op_once_and_do_not_cross_graphs() -> None:
    batch = collate([random_input(i, num_ops=ops) for i, ops in enumerate((5, 1, 9, 4))], SEGMENT)
    segments = batch.segments
    assert torch.equal(segments.ops[segments.filled], torch.arange(19))
    assert segments.before.tolist() == [-1, 0, -1, -1, 3, 4, -1]
    for ops, filled, graph in zip(segments.ops, segments.filled, segments.graph_of, strict=True):
        assert (batch.graph_of_op[ops[filled]] == graph).all()
