"""TVM's own partition: run FuseOps and map its kernels back to ops."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relay

from relay_passes.apply import label_ops
from relay_passes.dataflow import read, with_main
from relay_passes.extract import to_graph
from relay_passes.stack import with_deep_stack
from relay_passes.targets import as_target, build_scopes
from tvm_go.graph import Int32
from tvm_go.legalize import execution_order


def default_partition(mod: tvm.IRModule, *, target: str | tvm.target.Target) -> Int32:
    """Kernel of each op as `relay.build` at opt level 3 makes them.

    Parameters
    ----------
    mod : tvm.IRModule
        As :func:`relay_passes.prepare` returned it.

    Returns
    -------
    int32 [N]
        Numbered in execution order.
    """
    flow = read(mod)
    fused = with_deep_stack(_fuse, with_main(mod, label_ops(flow)), as_target(target))
    kernel = kernels_of(fused, len(flow.calls))
    return execution_order(to_graph(flow), kernel)


def kernels_of(fused: tvm.IRModule, num_ops: int) -> Int32:
    """Kernel of each labelled op in a module after FuseOps; ops outside any primitive function stand alone."""
    kernel = np.full(num_ops, -1, dtype=np.int32)
    count = 0
    for call in read_calls(fused["main"].body):
        if not isinstance(call.op, relay.Function):
            continue
        for inner in read_calls(call.op.body):
            label = inner.span.source_name.name if inner.span is not None else ""
            if label.startswith("op:"):
                kernel[int(label[3:])] = count
        count += 1
    alone = kernel < 0
    kernel[alone] = count + np.arange(alone.sum())
    return np.unique(kernel, return_inverse=True)[1].astype(np.int32)


def read_calls(body: relay.Expr) -> list[relay.Call]:
    """Every call in an expression once, without entering the functions that are called."""
    calls: list[relay.Call] = []
    seen: set[int] = set()
    stack = [body]
    while stack:
        expr = stack.pop()
        if expr.handle.value in seen:
            continue
        seen.add(expr.handle.value)
        if isinstance(expr, relay.Call):
            calls.append(expr)
            stack.extend(expr.args)
        elif isinstance(expr, relay.Tuple):
            stack.extend(expr.fields)
        elif isinstance(expr, relay.TupleGetItem):
            stack.append(expr.tuple_value)
    return calls


def _fuse(mod: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    with build_scopes(target):
        return tvm.transform.Sequential([relay.transform.InferType(), relay.transform.FuseOps()])(mod)
