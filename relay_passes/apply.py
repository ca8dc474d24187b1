"""Write a plan back into Relay: one primitive function per kernel, built without recursion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tvm
from tvm import relay

from relay_passes.dataflow import Dataflow, Leaves, flatten, read, with_main
from relay_passes.devices import PlacedValues, check_placement, place_constants
from relay_passes.extract import to_graph
from relay_passes.lowering import with_lowering
from relay_passes.stack import with_deep_stack
from tvm_go.copies import HOST
from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import Kernel, describe, members, returned_values
from tvm_go.lowering import TE, Lowering
from tvm_go.plan import GraphPlan


def apply(mod: tvm.IRModule, plan: GraphPlan) -> tvm.IRModule:
    """Regroup a prepared module as a plan says.

    ``relay.build`` then makes exactly these kernels: FuseOps and the passes before it leave primitive functions alone.

    Parameters
    ----------
    mod : tvm.IRModule
        As :func:`relay_passes.prepare` returned it.
    plan : GraphPlan
        For this module.

    Returns
    -------
    tvm.IRModule
        Type-inferred; functions besides ``main`` are kept.

    Raises
    ------
    PlanError
        If the plan is for another model, or illegal.
    """
    flow = read(mod)
    graph = to_graph(flow)
    plan.check(graph)
    main = regroup(flow, graph, plan.kernel, plan.lowering, device=plan.device, devices=plan.devices)
    result = with_main(mod, main)
    return with_deep_stack(lambda: relay.transform.InferType()(result))


def regroup(
    flow: Dataflow,
    graph: OpGraph,
    kernel: Int32,
    lowering: Sequence[Lowering] = (),
    *,
    device: Int32 | None = None,
    devices: Sequence[str] = ("cpu",),
    weights: dict[str, tvm.nd.NDArray] | None = None,
) -> relay.Function:
    """The function with each kernel as a call of a primitive function, kernels in order.

    Parameters
    ----------
    lowering : sequence of Lowering
        Of each kernel; empty for ``te`` throughout.
    device : int32 [K], optional
        Device of each kernel, as an index into ``devices``; None or empty for the first throughout.
    devices : sequence of str
        TVM's names of the devices that `relay.build` will have targets for, the host first.
    weights : dict, optional
        Takes the constants outside kernels, which then become parameters of the function, by name.

    Raises
    ------
    PlanError
        If a kernel cannot be on its device.
    """
    starts, ops = members(kernel)
    if device is None or not len(device):
        device = np.full(len(starts) - 1, HOST, dtype=np.int32)
    check_placement(graph, kernel, device, devices)
    values = PlacedValues(given(flow), devices)
    lifted = place_constants(flow, graph, kernel, device, values, weights)
    returned = returned_values(graph, kernel)
    for k, place in enumerate(device.tolist()):
        kernel_ops = ops[starts[k] : starts[k + 1]]
        if graph.fixed[kernel_ops[0]]:
            outputs = _outputs_again(flow, graph, int(kernel_ops[0]), values)
        else:
            interface = describe(graph, kernel_ops, returned)
            function = with_lowering(kernel_function(flow, graph, interface), lowering[k] if lowering else TE, place)
            call = relay.Call(function, [values.on(value, place) for value in interface.inputs])
            made = (
                [call]
                if len(interface.outputs) == 1
                else [relay.TupleGetItem(call, i) for i in range(len(interface.outputs))]
            )
            outputs = dict(zip(interface.outputs, made, strict=True))
        for value, expr in outputs.items():
            values.put(value, expr, place)
    return with_values(flow, values.all_on(flatten(flow.returned), HOST), lifted)


def kernel_function(flow: Dataflow, graph: OpGraph, kernel: Kernel) -> relay.Function:
    """The primitive function of one kernel.

    Parameters are the kernel's inputs in order; several outputs are returned as a tuple. Scalars stay inside.
    """
    params = [relay.Var(f"p{i}", flow.values[value].type) for i, value in enumerate(kernel.inputs)]
    value_expr: dict[int, relay.Expr] = dict(zip(kernel.inputs, params, strict=True))
    for op in kernel.ops:
        for value in graph.use_value[graph.use_start[op] : graph.use_start[op + 1]].tolist():
            if value not in value_expr:
                value_expr[value] = flow.values[value].expr  # a scalar constant
        call_again(flow, op, value_expr)
    outputs = [value_expr[value] for value in kernel.outputs]
    types = [flow.values[value].type for value in kernel.outputs]
    body, kind = (outputs[0], types[0]) if len(outputs) == 1 else (relay.Tuple(outputs), relay.TupleType(types))
    function = relay.Function(params, body, kind).with_attr("Primitive", tvm.tir.IntImm("int32", 1))
    if len(outputs) == 1 and all(graph.free[op] for op in kernel.ops):
        function = function.with_attr("relay.reshape_only", tvm.tir.IntImm("int32", 1))  # as FuseOps marks it
    return function


def label_ops(flow: Dataflow) -> relay.Function:
    """The same function with the number of each op written into its span, which passes carry along."""
    value_expr = given(flow)
    for op in range(len(flow.calls)):
        call_again(flow, op, value_expr, span=op_span)
    return with_values(flow, value_expr)


def op_span(op: int) -> relay.Span:
    """A span that carries the number of an op."""
    return relay.Span(relay.SourceName(f"op:{op}"), op, op, op, op)


def given(flow: Dataflow) -> dict[int, relay.Expr]:
    """Expressions of the graph inputs and constants."""
    return {number: value.expr for number, value in enumerate(flow.values) if value.expr is not None}


def call_again(
    flow: Dataflow, op: int, value_expr: dict[int, relay.Expr], span: Callable[[int], relay.Span] | None = None
) -> None:
    """Repeat the call of one op on new arguments, and enter the expressions of its outputs."""
    call = flow.calls[op]
    arguments = [_structure(leaves, value_expr) for leaves in flow.uses[op]]
    repeated = relay.Call(call.op, arguments, call.attrs, call.type_args, span(op) if span else call.span)
    first = flow.first_value[op]
    if isinstance(call.checked_type, relay.TupleType):
        for position in range(len(call.checked_type.fields)):
            value_expr[first + position] = relay.TupleGetItem(repeated, position)
    else:
        value_expr[first] = repeated


def _structure(leaves: Leaves, value_expr: dict[int, relay.Expr]) -> relay.Expr:
    if isinstance(leaves, int):
        return value_expr[leaves]
    return relay.Tuple([_structure(part, value_expr) for part in leaves])


def _outputs_again(flow: Dataflow, graph: OpGraph, op: int, values: PlacedValues) -> dict[int, relay.Expr]:
    """Expressions of what an op makes that stays as it is, on the host."""
    value_expr = values.all_on(graph.use_value[graph.use_start[op] : graph.use_start[op + 1]].tolist(), HOST)
    call_again(flow, op, value_expr)
    return {value: value_expr[value] for value in graph.outputs_of(op)}


def with_values(
    flow: Dataflow, value_expr: dict[int, relay.Expr], more_params: Sequence[relay.Var] = ()
) -> relay.Function:
    """The function with its results taken from the expressions of values."""
    old = flow.function
    body = _structure(flow.returned, value_expr)
    return relay.Function([*old.params, *more_params], body, old.ret_type, old.type_params, old.attrs)
