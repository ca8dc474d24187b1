"""Ops whose form is decided together, and what lies around them: a form is judged with the layouts that it asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relay

from relay_passes.apply import call_again, op_span
from relay_passes.dataflow import Dataflow, flatten, read
from relay_passes.extract import to_graph
from relay_passes.variants.registry import VARIANTS, sites
from tvm_go.graph import OpGraph, ValueKind
from tvm_go.kernels import kernel_keys

_MOST_OPS = 32  # of surroundings: a concatenation of a whole stage's results is judged by the nearest of them


@dataclass(frozen=True)
class Unit:
    """Ops of the base module that take one form together: one op, or all that could be computed with it as one.

    Attributes
    ----------
    key : str
        Equal for units with equal ops, shapes and surroundings, also in other models.
    around : tuple of int
        The unit's ops and those around, up to the next ops that have variants, in order.
    work : float
        Floating point operations of the unit's own ops.
    """

    ops: tuple[int, ...]
    key: str
    around: tuple[int, ...]
    work: float


def units(flow: Dataflow, target: tvm.target.Target) -> list[Unit]:
    """All units of a base module, in order."""
    graph = to_graph(flow)
    names = kernel_keys(graph, np.arange(graph.num_ops, dtype=np.int32))
    found = []
    for site in sites(flow, target):
        ops = site.parallel or (site.op,)
        if site.op != ops[0]:
            continue
        around = _surroundings(flow, graph, ops)
        constant = [str(flow.values[value].kind == ValueKind.CONSTANT) for op in ops for value in _arguments(flow, op)]
        parts = [*(names[op] for op in ops), *constant, *sorted(names[op] for op in around)]
        key = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
        found.append(Unit(ops, key, around, float(graph.flops[list(ops)].sum())))
    return found


def cut_out(flow: Dataflow, ops: Sequence[int]) -> tuple[tvm.IRModule, list[int]]:
    """Some ops as a module of their own: computed values that come from elsewhere are its inputs, weights stay.

    Returns
    -------
    module : tvm.IRModule
        Type-inferred, in the state of the base module.
    origin : list of int
        For each op of ``read(module)``, which op it is.
    """
    inside = set(ops)
    params: list[relay.Var] = []
    exprs: dict[int, relay.Expr] = {}
    for op in ops:
        for value in _arguments(flow, op):
            known = flow.values[value]
            if known.kind == ValueKind.CONSTANT:
                exprs[value] = known.expr
            elif known.op not in inside and value not in exprs:
                exprs[value] = relay.Var(f"x{len(params)}", known.type)
                params.append(exprs[value])
        call_again(flow, op, exprs, span=op_span)
    leaving = _leaving(flow, inside)
    body = relay.Tuple([exprs[value] for value in leaving]) if len(leaving) > 1 else exprs[leaving[0]]
    module = relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(params, body)))
    return module, [int(call.span.line) for call in read(module).calls]


def _surroundings(flow: Dataflow, graph: OpGraph, ops: tuple[int, ...]) -> tuple[int, ...]:
    """Breadth first down and up from the ops, up to the next op with variants on each way; no calls of functions."""
    found = set(ops)
    starts, order = graph.out_edges

    def consumers(op: int) -> list[int]:
        return graph.edge_dst[order[starts[op] : starts[op + 1]]].tolist()

    def producers(op: int) -> list[int]:
        return graph.edge_src[graph.edge_start[op] : graph.edge_start[op + 1]].tolist()

    for neighbours in (consumers, producers):
        edge = list(ops)
        while edge and len(found) < _MOST_OPS:
            near = dict.fromkeys(other for op in edge for other in neighbours(op))
            new = [op for op in near if op not in found and not flow.operators[op].is_function]
            new = new[: _MOST_OPS - len(found)]
            found.update(new)
            edge = [op for op in new if flow.operators[op].name not in VARIANTS]
    return tuple(sorted(found))


def _arguments(flow: Dataflow, op: int) -> Iterator[int]:
    return (value for leaves in flow.uses[op] for value in flatten(leaves))


def _leaving(flow: Dataflow, inside: set[int]) -> list[int]:
    """Values of some ops that others read, or that are returned; all of them where nothing reads any."""
    made = [number for number, value in enumerate(flow.values) if value.op in inside]
    read_elsewhere = set(flatten(flow.returned))
    for op in range(len(flow.calls)):
        if op not in inside:
            read_elsewhere.update(_arguments(flow, op))
    return [value for value in made if value in read_elsewhere] or made
