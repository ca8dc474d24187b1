"""Lowerings by rule, for plans that may measure nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import free_kernels, members
from tvm_go.lowering import TE, TIR, Lowering

#: Ops that TE computes many times slower, in their plain forms at least.
_PRODUCTS = {
    "nn.batch_matmul",
    "nn.dense",
    "nn.contrib_dense_pack",
    "nn.contrib_conv2d_winograd_without_weight_transform",
}
_STATISTICS = {"mean", "variance", "sum"}
_LEFT_TO_TE = {"nn.contrib_conv2d_NCHWc", "nn.conv2d", "nn.contrib_depthwise_conv2d_NCHWc"}
#: Ops that libm computes one by one under TE, and the generic TIR schedule in vectors.
_TRANSCENDENTAL = {"exp", "erf", "tanh", "sigmoid", "nn.softmax", "nn.fast_softmax", "power"}


def lowerings_by_rule(
    graph: OpGraph, kernel: Int32, keys: Sequence[str], tuned: Mapping[str, Sequence[Lowering]]
) -> list[Lowering]:
    """A lowering for each kernel: what was tuned for it elsewhere, TIR where it is known to be better, else TE.

    Parameters
    ----------
    kernel : int32 [N]
        Kernel of each op.
    keys : sequence of str [K]
        Structural hash of each kernel; empty for those that cost nothing.
    tuned : mapping
        Tuned lowerings by kernel key, the best first.
    """
    starts, ops = members(kernel)
    free = free_kernels(graph, kernel)
    found = []
    for number, key in enumerate(keys):
        inside = ops[starts[number] : starts[number + 1]]
        if not key or free[number]:
            found.append(TE)
        elif tuned.get(key):
            found.append(tuned[key][0])
        else:
            names = {graph.name(int(op)) for op in inside}
            found.append(TIR if names & (_PRODUCTS | _TRANSCENDENTAL | _STATISTICS) and not names & _LEFT_TO_TE else TE)
    return found
