"""Rule sets: what one kernel may hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.by_name import by_name
from tvm_go.graph import Int32, Int64, OpGraph, Pattern


@dataclass(frozen=True)
class Rules:
    """A rule set.

    Attributes
    ----------
    wide : bool
        False, as FuseOps: everything but one op is used inside the kernel only, nothing is computed on the way into an
        anchor heavier than a reduction, and only elementwise ops follow it.
        True: producers and several outputs, ops that move a whole tensor after an anchor, elementwise ones after a
        reduction. Around an anchor heavier than a reduction, or a reduction with injective ops, one op is the last, and
        what comes before the anchor is used inside only.
    max_ops : int
        Size limit, ops per kernel.
    max_anchors : int
        Reductions and heavier ops per kernel. More than one leaves the kernel to a TIR schedule: the rules on what
        stands around an anchor, which are TE's, do not hold then.
    """

    name: str
    wide: bool
    max_ops: int = 256  # FuseOps' kMaxFusedOps
    max_anchors: int = 1

    @property
    def is_open(self) -> bool:
        """Whether kernels need a TIR schedule."""
        return self.max_anchors > 1


_RULE_SETS = {
    # what FuseOps may do (tvm/src/relay/analysis/graph_partitioner.cc)
    "tvm": Rules("tvm", wide=False),
    # what TOPI's schedules take (docs/decisions/0003-what-wide-allows.md): one anchor, producers, several outputs
    "wide": Rules("wide", wide=True),
    # what the generic TIR schedule takes: several reductions, anything but opaque ops around them
    "open": Rules("open", wide=True, max_anchors=8),
}
RULE_SET_NAMES = tuple(_RULE_SETS)


def rule_set(name: str) -> Rules:
    """A rule set by name.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    return by_name(_RULE_SETS, name, "rule set")


class Breach(IntEnum):
    """Why a set of ops is no legal kernel."""

    NONE = 0
    TOO_LARGE = 1
    OPAQUE = 2
    ANCHORS = 3
    PRODUCER = 4
    EPILOGUE = 5
    OUTPUTS = 6
    CONNECTED = 7
    CYCLE = 8


BREACH_TEXTS = {
    Breach.TOO_LARGE: "it holds more ops than the size limit",
    Breach.OPAQUE: "an opaque op must stay alone",
    Breach.ANCHORS: "it holds more reductions or heavier ops than the rule set allows (a TE schedule has one anchor)",
    Breach.PRODUCER: "an op feeds the anchor, which this rule set does not fuse",
    Breach.EPILOGUE: "an op after the anchor is of a kind that this rule set does not fuse there",
    Breach.OUTPUTS: "an op is used outside that this rule set allows inside only",
    Breach.CONNECTED: "its ops are not connected by dataflow edges",
    Breach.CYCLE: "it depends on itself through other kernels",
}

_BROADCAST = int(Pattern.BROADCAST)
_REDUCTION = int(Pattern.REDUCTION)
_OPAQUE = int(Pattern.OPAQUE)


class RuleView(NamedTuple):
    """What `kernel_breach` looks at: a graph's arrays, see `tvm_go.graph.OpGraph`, and its rules."""

    pattern: NDArray[np.int8]
    edge_start: Int64
    edge_src: Int32
    edge_elementwise: NDArray[np.bool_]
    moves_whole: NDArray[np.bool_]
    wide: bool
    max_ops: int
    max_anchors: int


def rule_view(graph: OpGraph, rules: Rules) -> RuleView:
    """A graph under a rule set."""
    return RuleView(
        graph.pattern,
        graph.edge_start,
        graph.edge_src,
        graph.edge_elementwise,
        graph.moves_whole,
        rules.wide,
        rules.max_ops,
        rules.max_anchors,
    )


@njit(cache=True)
def kernel_breach(ops: Int32, view: RuleView, inside: NDArray[np.bool_], after_anchor: NDArray[np.bool_]) -> int:
    """Check what a kernel holds, as a :class:`Breach`; outputs, connection and cycles are checked elsewhere.

    Every rule here is hereditary: a connected part of a legal kernel is legal. That is why merging edge by edge, and
    splitting by outputs, stay inside the rules.

    Parameters
    ----------
    ops : int32
        Members in topological order.
    inside, after_anchor : bool [N]
        Scratch, all False; left all False.
    """
    pattern, edge_src, wide, max_anchors = view.pattern, view.edge_src, view.wide, view.max_anchors
    if len(ops) == 1:
        return 0
    if len(ops) > view.max_ops:
        return Breach.TOO_LARGE.value
    breach = 0
    anchor = -1
    anchors = 0
    for op in ops:
        inside[op] = True
    for op in ops:
        kind = pattern[op]
        if kind >= _OPAQUE:
            breach = Breach.OPAQUE.value
            break
        if kind >= _REDUCTION:
            anchors += 1
            if anchors > max_anchors:
                breach = Breach.ANCHORS.value
                break
            anchor = op
        if max_anchors > 1:
            continue
        for edge in range(view.edge_start[op], view.edge_start[op + 1]):
            source = edge_src[edge]
            if not inside[source]:
                continue
            if kind > _REDUCTION and not wide:
                breach = Breach.PRODUCER.value
            elif source == anchor or after_anchor[source]:
                after_anchor[op] = True
                if pattern[anchor] == _REDUCTION:
                    allowed = wide and kind <= _BROADCAST
                else:
                    moves = wide and view.moves_whole[op]
                    allowed = (kind <= _BROADCAST and view.edge_elementwise[edge]) or moves
                if not allowed:
                    breach = Breach.EPILOGUE.value
        if breach:
            break
    for op in ops:
        inside[op] = False
        after_anchor[op] = False
    return breach
