"""GraphInput: a graph on a machine as the policy takes it, frozen arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvm_go.arrays import freeze_arrays
from tvm_go.graph import Int32, Int64
from tvm_go.policy.edge_choices import KERNEL_GRAPH_FEATURES, KERNEL_OP_FEATURES, EdgeChoices
from tvm_go.policy.form_choices import FormChoices
from tvm_go.simulate import OBJECTIVES

Float32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

OP_FEATURES = 21
DEVICE_FEATURES = 12
PAIR_FEATURES = 7
GRAPH_FEATURES = 5 + len(OBJECTIVES)
PLAN_OP_FEATURES = OP_FEATURES + KERNEL_OP_FEATURES + 8
PLAN_GRAPH_FEATURES = GRAPH_FEATURES + KERNEL_GRAPH_FEATURES + 4
PLAN_UNIT_FEATURES = 27
OP_TYPES = 512
"""Buckets that names of operators are hashed to; 0 stands for an op without a name."""


@dataclass(frozen=True, eq=False)
class GraphInput:
    """One graph of N ops, E edges and C colocation classes on D devices. Ops stand in topological order.

    Attributes
    ----------
    name : str
    op_features : float32 [N, OP_FEATURES]
        They depend on the wiring and the costs, not on how the ops are numbered. The last are those of the draft, see
        `tvm_go.policy.draft`.
    op_type : int64 [N]
        Hash bucket of the operator's name, below `OP_TYPES`.
    device_features : float32 [D, DEVICE_FEATURES]
        What a device is for this graph, relative to the others.
    pair_features : float32 [N, D, PAIR_FEATURES]
        What a device is for an op. The first is the logarithm of its time over that of the quickest device, the second
        whether it can run it; the next three are how far the op lies from the device's share if the graph were cut
        into contiguous shares in the order of the devices, in shares: of the work by levels, of the work by the order
        of the ops, and of the bytes by that order. The last are those of the draft.
    graph_features : float32 [GRAPH_FEATURES]
    edge_src, edge_dst : int32 [E]
        Sorted by reader.
    colocation : int32 [N]
    supported : bool [C, D]
        Which devices can run all ops of a class.
    op_share, byte_share : float32 [N]
        Part of all work, each op on its quickest device, and of all bytes; each sums up to 1.
    travel : float32 [N]
        Time that the op's tensor takes over an average link, over the mean time of an op.
    room : float32 [D]
        Memory of a device over the bytes of the whole graph; ``inf`` where there is no limit.
    draft : int64 [C]
        Device of each class in a placement that is to be improved; -1 without one.
    sequences : int64 [2, C]
        See `tvm_go.policy.moves.class_sequences`.
    choices : EdgeChoices, optional
        Edges at which to fuse or not, for a policy with the task ``fusion``; see `tvm_go.policy.kernel_graph`.
    forms : FormChoices, optional
        Ops that have several forms, for a policy with the task ``variant``; see `tvm_go.policy.plan_graph`.
    """

    name: str
    op_features: Float32
    op_type: Int64
    device_features: Float32
    pair_features: Float32
    graph_features: Float32
    edge_src: Int32
    edge_dst: Int32
    colocation: Int32
    supported: Bools
    op_share: Float32
    byte_share: Float32
    travel: Float32
    room: Float32
    draft: Int64
    sequences: Int64
    choices: EdgeChoices | None = None
    forms: FormChoices | None = None

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def num_ops(self) -> int:
        return len(self.op_type)

    @property
    def has_draft(self) -> bool:
        return bool((self.draft >= 0).all())

    @property
    def num_devices(self) -> int:
        return len(self.device_features)

    @property
    def num_classes(self) -> int:
        return len(self.supported)
