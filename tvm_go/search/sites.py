"""Edges that look alike: a decision that is good at one of them is as good at all."""

from __future__ import annotations

import numpy as np

from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import kernel_keys, members


def edge_classes(graph: OpGraph, kernel: Int32) -> Int32:
    """Number edges so that equal numbers mean equal places in equal kernels: int32 [E].

    Two edges are alike if their ends are the same ops of structurally equal kernels. Networks repeat their blocks,
    so a search that treats alike edges together measures one kernel where it would otherwise measure dozens.
    """
    keys = kernel_keys(graph, kernel)
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    kind = np.array([number[key] for key in keys], dtype=np.int64)
    starts, ops = members(kernel)
    local = np.empty(graph.num_ops, dtype=np.int64)
    local[ops] = np.arange(graph.num_ops) - starts[kernel[ops]]
    ends = np.stack(
        [
            kind[kernel[graph.edge_src]],
            local[graph.edge_src],
            kind[kernel[graph.edge_dst]],
            local[graph.edge_dst],
            kernel[graph.edge_src] == kernel[graph.edge_dst],
        ],
        axis=1,
    )
    return np.unique(ends, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
