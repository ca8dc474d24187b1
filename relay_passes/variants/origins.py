"""Which op of the base module each op of the finished one came from."""

from __future__ import annotations

import numpy as np
import tvm

from relay_passes.dataflow import Dataflow, flatten, read
from tvm_go.graph import Int32, ValueKind


def origins(finished: tvm.IRModule | Dataflow) -> Int32:
    """The op of the base module that each op came from, read off the spans that the passes carried along.

    Parameters
    ----------
    finished : tvm.IRModule or Dataflow
        From :func:`relay_passes.prepare.finish`, or read from that.

    Returns
    -------
    int32 [N]
        By op of ``read(finished).calls``. Where TVM merged ops, two reshapes for instance, the origin of what the
        merged op reads; -1 for changes of layout, which TVM put in between.
    """
    flow = finished if isinstance(finished, Dataflow) else read(finished)
    numbers = np.full(len(flow.calls), -1, dtype=np.int32)
    for op, call in enumerate(flow.calls):
        name = "" if call.span is None else str(call.span.source_name.name)
        if name.startswith("op:"):
            numbers[op] = int(name[3:])
        elif flow.operators[op].name != "layout_transform":
            read_values = [flow.values[value] for value in flatten(tuple(flow.uses[op]))]
            numbers[op] = max((numbers[value.op] for value in read_values if value.kind == ValueKind.OP), default=-1)
    return numbers
