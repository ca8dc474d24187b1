"""SizedGraph: a dataflow graph whose ops have sizes and arithmetic, but no times yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tvm_go.graph import Int32, Int64
from tvm_go.simulate.roofline import DeviceSpec, roofline_ms
from tvm_go.simulate.workload import Floats, Workload


@dataclass(frozen=True, eq=False)
class SizedGraph:
    """N ops in topological order, E edges.

    Attributes
    ----------
    name : str
    op_types : tuple of str
        Vocabulary that ``op_type`` indexes.
    op_type : int32 [N]
    flops : float64 [N]
    output_bytes : float64 [N]
    weight_bytes : float64 [N]
        Weights that an op reads or updates; several ops may use the same.
    resident_bytes : float64 [N]
        What stays on the device: weights and what belongs to them, at the first op that uses them.
    edges : int64 [E, 2]
        Producer and reader, the producer always the smaller.
    colocation : int64 [N]
        Ops that share weights share a label; -1 for an op that is free.
    """

    name: str
    op_types: tuple[str, ...]
    op_type: Int32
    flops: Floats
    output_bytes: Floats
    weight_bytes: Floats
    resident_bytes: Floats
    edges: Int64
    colocation: Int64

    @property
    def num_ops(self) -> int:
        return len(self.op_type)

    @property
    def read_bytes(self) -> Floats:
        """Bytes of the tensors that each op reads, weights left out: float64 [N]."""
        source, reader = self.edges.T
        return np.bincount(reader, weights=self.output_bytes[source], minlength=self.num_ops).astype(np.float64)

    def workload(self, specs: Sequence[DeviceSpec]) -> Workload:
        """Times by the roofline, one column for each device."""
        moved_bytes = self.read_bytes + self.output_bytes + self.weight_bytes
        return Workload.of(
            self.name,
            tuple(spec.kind for spec in specs),
            roofline_ms(self.flops, moved_bytes, specs),
            self.edges,
            output_bytes=self.output_bytes,
            resident_bytes=self.resident_bytes,
            colocation=self.colocation,
        )
