"""The training graph of a forward graph: one backward op for each op that has a gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tvm_go.graph import Int64
from tvm_go.simulate.sized_graph import SizedGraph

_NO_GRADIENT = ("input",)
_LINEAR = ("add", "bias_add", "concat", "split", "input")  # their gradients need none of the tensors that they read
_STATE_PER_WEIGHT = 4.0  # the weight, its gradient, and the two moments of Adam (Kingma and Ba, ICLR 2015)


def with_backward(graph: SizedGraph) -> SizedGraph:
    """Append the backward ops, in reverse order.

    The backward op of an op reads the gradients that its readers' backward ops make, and, unless it is linear, what the
    op read; that of an op which nothing reads starts from what the op made. It has twice the arithmetic (for a product,
    the gradients of both sides), makes the gradients of all tensors that the op read, applies the gradient of the
    weights, and shares the op's device, as gradients do in TensorFlow with ``colocate_gradients_with_ops``.
    """
    count = graph.num_ops
    types = np.array(graph.op_types, dtype=object)
    forward: Int64 = np.flatnonzero(~np.isin(types, _NO_GRADIENT)[graph.op_type])[::-1]
    backward = np.full(count, -1, dtype=np.int64)
    backward[forward] = count + np.arange(len(forward))
    producers, readers = graph.edges.T
    gradients = np.stack([backward[readers], backward[producers]], axis=1)[backward[producers] >= 0]
    saved = np.stack([producers, backward[readers]], axis=1)[~np.isin(types, _LINEAR)[graph.op_type[readers]]]
    last: Int64 = np.setdiff1d(forward, producers)
    starts = np.stack([last, backward[last]], axis=1)
    owner = np.where(graph.colocation < 0, np.arange(count), graph.colocation)
    return replace(
        graph,
        name=f"{graph.name}-training",
        op_types=(*graph.op_types, *(f"{name}_backward" for name in graph.op_types)),
        op_type=np.concatenate([graph.op_type, graph.op_type[forward] + len(graph.op_types)]).astype(np.int32),
        flops=np.concatenate([graph.flops, 2.0 * graph.flops[forward]]),
        output_bytes=np.concatenate([graph.output_bytes, graph.read_bytes[forward]]),
        weight_bytes=np.concatenate([graph.weight_bytes, 2.0 * graph.weight_bytes[forward]]),
        resident_bytes=np.concatenate([_STATE_PER_WEIGHT * graph.resident_bytes, np.zeros(len(forward))]),
        edges=np.concatenate([graph.edges, gradients, saved, starts]),
        colocation=np.concatenate([owner, owner[forward]]),
    )
