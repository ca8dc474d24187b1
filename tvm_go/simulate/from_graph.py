"""A workload from an OpGraph: times by the roofline of each device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvm_go.arrays import sums
from tvm_go.graph import OpGraph, ValueKind
from tvm_go.simulate.roofline import DeviceSpec, roofline_ms
from tvm_go.simulate.workload import Workload


def from_graph(graph: OpGraph, specs: Sequence[DeviceSpec], name: str = "graph") -> Workload:
    """Every op alone, unfused; ops that are only a change of view cost nothing.

    Constants stay on the device of the op that reads them; one that several ops read is counted for each, since they
    may stand apart. Graph inputs are on every device.

    Parameters
    ----------
    specs : sequence of DeviceSpec
        One for each kind of device; the kinds of the result.
    """
    count = graph.num_ops
    value_bytes = graph.value_bytes.astype(np.float64)
    made = graph.value_op >= 0
    output_bytes = sums(graph.value_op[made], value_bytes[made], count)
    used_bytes = value_bytes[graph.use_value]
    read_bytes = sums(graph.use_op, used_bytes, count)
    constant = graph.value_kind[graph.use_value] == ValueKind.CONSTANT
    resident_bytes = sums(graph.use_op[constant], used_bytes[constant], count)
    op_ms = roofline_ms(graph.flops, read_bytes + output_bytes, specs)
    op_ms[graph.free] = 0.0
    return Workload.of(
        name,
        tuple(spec.kind for spec in specs),
        op_ms,
        np.stack([graph.edge_src, graph.edge_dst], axis=1),
        output_bytes=output_bytes,
        resident_bytes=resident_bytes,
        op_ids=tuple(f"{graph.name(op)}_{op}" for op in range(count)),
    )
