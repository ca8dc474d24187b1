"""Lowerings by rule, for plans that may measure nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tvm_go.graph import Int32, OpGraph, Pattern
from tvm_go.kernels import free_kernels, members
from tvm_go.lowering import TE, TIR, Lowering

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
            heavy = bool(np.any(graph.pattern[inside] >= Pattern.REDUCTION))
            found.append(TIR if heavy or any(graph.name(int(op)) in _TRANSCENDENTAL for op in inside) else TE)
    return found
