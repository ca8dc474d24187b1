"""Let `relay.build` run kernels in a given order, and read what memory TVM plans for it.

TVM's graph executor runs kernels in the order in which its code generator first meets them, depth first from the
result; no rearrangement of arguments gives every order. A chain of ``let`` bindings does: device planning, fusion,
lowering, memory planning and code generation all keep it and go through it from the front, and nothing of it is left
in the built graph.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relay
from tvm.relay.backend.graph_executor_codegen import GraphExecutorCodegen

from relay_passes.apply import given
from relay_passes.dataflow import Dataflow, Leaves, flatten, read, with_main
from relay_passes.library import ONCE
from relay_passes.stack import with_deep_stack
from relay_passes.targets import build_scopes
from tvm_go.errors import UnsupportedModelError
from tvm_go.graph import Int32, item_bytes
from tvm_go.simulate.kernel_tensors import KernelTensors

_RESHAPE_ONLY = "relay.reshape_only"  # as FuseOps marks primitive functions that are views of their input


def kernel_tensors(flow: Dataflow) -> KernelTensors:
    """What the kernels of a fused module, its calls in their own order, make and read.

    Raises
    ------
    UnsupportedModelError
        If an op is not in a kernel yet.
    """
    for operator in flow.operators:
        if operator.is_computed:
            raise UnsupportedModelError(
                f"{operator.name} is in no kernel yet: order what relay_passes.apply or relay.transform.FuseOps gives"
            )
    made = [value for value in flow.values if value.op >= 0]
    number = np.cumsum([value.op >= 0 for value in flow.values]) - 1
    starts = np.searchsorted([value.op for value in made], np.arange(len(flow.calls) + 1))
    uses = [[value for value in flatten(tuple(leaves)) if flow.values[value].op >= 0] for leaves in flow.uses]
    returned = np.zeros(len(made), dtype=np.bool_)
    for value in flatten(flow.returned):
        if flow.values[value].op >= 0:
            returned[number[value]] = True
    return KernelTensors(
        output_start=starts.astype(np.int64),
        output_bytes=np.array(
            [int(np.prod(value.shape, dtype=np.int64)) * item_bytes(value.dtype) for value in made], dtype=np.int64
        ),
        use_start=np.concatenate([[0], np.cumsum([len(values) for values in uses])]).astype(np.int64),
        use_tensor=number[np.array([value for values in uses for value in values], dtype=np.int64)].astype(np.int32),
        is_view=np.array([_is_view(call) for call in flow.calls], dtype=np.bool_),
        returned=returned,
    )


def _is_view(call: relay.Call) -> bool:
    attributes = call.op.attrs if isinstance(call.op, relay.Function) else None
    return attributes is not None and _RESHAPE_ONLY in attributes


def in_order(mod: tvm.IRModule, order: Int32) -> tvm.IRModule:
    """Bind each kernel of a fused module to a variable, in an order that `relay.build` then keeps.

    Parameters
    ----------
    mod : tvm.IRModule
        As :func:`relay_passes.apply.apply` or ``relay.transform.FuseOps`` gives it, type-inferred.
    order : int32 [K]
        The calls of ``read(mod)``, the first to run first.

    Returns
    -------
    tvm.IRModule
        Type-inferred.

    Raises
    ------
    UsageError
        If a kernel would run before one that it reads, or not exactly once.
    UnsupportedModelError
        As :func:`kernel_tensors`.
    """
    flow = read(mod)
    kernel_tensors(flow).check_order(order)
    value_expr = given(flow)
    bindings: list[tuple[relay.Var, relay.Call]] = []
    for kernel in order.tolist():
        call = flow.calls[kernel]
        arguments = [_structure(leaves, value_expr) for leaves in flow.uses[kernel]]
        result = relay.Var(f"kernel_{kernel}", call.checked_type)
        bindings.append((result, relay.Call(call.op, arguments, call.attrs, call.type_args, call.span)))
        first = flow.first_value[kernel]
        if isinstance(call.checked_type, relay.TupleType):
            for position in range(len(call.checked_type.fields)):
                value_expr[first + position] = relay.TupleGetItem(result, position)
        else:
            value_expr[first] = result
    body = _structure(flow.returned, value_expr)
    for result, call in reversed(bindings):
        body = relay.Let(result, call, body)
    main = relay.function.FunctionWithFields(flow.function, body=body)
    return with_deep_stack(lambda: relay.transform.InferType()(with_main(mod, main)))


def _structure(leaves: Leaves, value_expr: dict[int, relay.Expr]) -> relay.Expr:
    if isinstance(leaves, int):
        return value_expr[leaves]
    return relay.Tuple([_structure(part, value_expr) for part in leaves])


@dataclass(frozen=True)
class PlannedMemory:
    """What a graph executor allocates.

    Attributes
    ----------
    kernel_bytes : int
        For what kernels make: the part that the order decides on.
    kept_bytes : int
        For inputs and weights.
    """

    kernel_bytes: int
    kept_bytes: int


def planned_memory(graph_json: str) -> PlannedMemory:
    """Memory of a built graph: a storage is as large as its largest tensor (``SetupStorage`` in graph_executor.cc)."""
    graph = json.loads(graph_json)
    attributes = {name: values for name, (_, values) in graph["attrs"].items()}
    size: dict[int, int] = {}
    kept: set[int] = set()
    for number, node in enumerate(graph["nodes"]):
        for entry in range(graph["node_row_ptr"][number], graph["node_row_ptr"][number + 1]):
            storage = attributes["storage_id"][entry]
            elements = int(np.prod(attributes["shape"][entry], dtype=np.int64))
            size[storage] = max(size.get(storage, 0), elements * item_bytes(attributes["dltype"][entry]))
            if node["op"] == "null":
                kept.add(storage)
    total = sum(size.values())
    kept_bytes = sum(size[storage] for storage in kept)
    return PlannedMemory(total - kept_bytes, kept_bytes)


def graph_without_code(mod: tvm.IRModule, target: tvm.target.Target) -> str:
    """The JSON graph that `relay.build` makes of a fused module, without compiling its kernels.

    Kernels are lowered as ever, and nothing is compiled. As in :func:`relay_passes.library.build_module`, passes that a
    fused module has behind it stay away.
    """

    def body() -> str:
        with build_scopes(target), tvm.transform.PassContext(opt_level=3, disabled_pass=list(ONCE)):
            optimized, _ = relay.build_module.BuildModule().optimize(mod, target)
            graph, _, _ = GraphExecutorCodegen(None, target).codegen(optimized, optimized["main"])
        return str(graph)

    return with_deep_stack(body)
