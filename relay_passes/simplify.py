"""TVM's SimplifyExpr on those parts of a graph where one of its patterns can match.

The pass builds a dominator tree of the whole graph for each of its 24 patterns, four times if anything changes, which
is worse than linear. The result is the same because

- patterns span only calls of the operators in ``_MEMBERS`` (and calls that read ``full``, ``ones`` or ``zeros``); call
  connected sets of these *parts*. What a rewrite does depends on a part and the types of what it reads, and every new
  call stays in the part, whose neighbours are no members before or after;
- a match is refused if an inner call of it is also used elsewhere, unless the match dominates that use. A part of
  which one call alone is used outside answers that question by itself: what leaves it cannot come back;
- the patterns are repeated until nothing changes: where none changes anything at first, none ever does.

Where a part that may change has several exits, TVM runs on the whole graph; also where ``x + x`` may become ``2 * x``,
because TVM then copies all that ``x`` is computed from (and sometimes fails).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relay

from relay_passes.dataflow import address
from relay_passes.plain import plain_expressions, with_body, with_children

_BATCH = 256  # calls that are simplified together: fewer pay TVM's overhead per run, more its growth

_FILLS = {"zeros", "zeros_like", "ones", "ones_like", "full", "full_like"}
_LIKE = {"reshape_like", "collapse_sum_like", "broadcast_to_like", "cast_like"}
_RESHAPES = {"reshape", "contrib_reverse_reshape"}
_TRANSPOSES = {"transpose", "layout_transform"}
_CASTS = {"cast", "cast_like", "clip"}
_NEUTRAL = {"add": 0.0, "subtract": 0.0, "multiply": 1.0, "divide": 1.0}
_DEQUANTIZED = {"qnn.dequantize", "argmax", "argmin", "argsort"}
_MEMBERS = {*_FILLS, *_LIKE, *_RESHAPES, *_TRANSPOSES, *_CASTS, *_NEUTRAL, *_DEQUANTIZED, "sqrt"}


@dataclass
class _Graph:
    """Expressions by address."""

    exprs: dict[int, relay.Expr] = field(default_factory=dict)
    inputs: dict[int, list[int]] = field(default_factory=dict)
    name: dict[int, str] = field(default_factory=dict)  # operator of each call
    readers: dict[int, list[int]] = field(default_factory=dict)  # of each member, the members that read it
    exits: set[int] = field(default_factory=set)  # members that anything else reads


def simplify(mod: tvm.IRModule, step: tvm.transform.Pass, *, after_layout: bool) -> tvm.IRModule | None:
    """Do what ``SimplifyExpr`` or ``SimplifyExprPostAlterOp`` does (``tvm/src/relay/transforms/simplify_expr.cc``).

    Parameters
    ----------
    mod : tvm.IRModule
        Type-inferred.
    step : tvm.transform.Pass
        TVM's pass.
    after_layout : bool
        Whether the pass is the second, which has only some of the patterns.

    Returns
    -------
    tvm.IRModule or None
        Type-inferred; None if the pass must run on the whole graph.

    Raises
    ------
    NotPlainError
        See :func:`relay_passes.plain.plain_expressions`.
    """
    graph = _read(mod)
    parts = _active_parts(graph, after_layout)
    if parts is None:
        return None
    simplified: dict[int, tuple[relay.Expr, dict[relay.Var, int]]] = {}  # by exit: over variables for what it reads
    for batch in _batches(parts):
        simplified.update(_simplify_parts(graph, batch, step))
    inner = {call for part in parts for call in part} - simplified.keys()
    new: dict[int, relay.Expr] = {}
    for here, expr in graph.exprs.items():
        if here in simplified:
            result, variables = simplified[here]
            new[here] = relay.bind(result, {variable: new[read] for variable, read in variables.items()})
        elif here not in inner:
            children = graph.inputs[here]
            new[here] = with_children(expr, [graph.exprs[c] for c in children], [new[c] for c in children])
    return with_body(mod, new[address(mod["main"].body)])


def _read(mod: tvm.IRModule) -> _Graph:
    graph = _Graph()
    for expr, children in plain_expressions(mod):
        here = address(expr)
        inputs = [address(child) for child in children]
        graph.exprs[here], graph.inputs[here] = expr, inputs
        if isinstance(expr, relay.Call):
            graph.name[here] = str(expr.op.name)
        is_member = graph.name.get(here) in _MEMBERS or any(graph.name.get(child) in _FILLS for child in inputs)
        if is_member and isinstance(expr, relay.Call):
            graph.readers[here] = []
        for child in inputs:
            if child in graph.readers:
                if here in graph.readers:
                    graph.readers[child].append(here)
                else:
                    graph.exits.add(child)
    graph.exits.add(address(mod["main"].body))
    return graph


def _active_parts(graph: _Graph, after_layout: bool) -> list[list[int]] | None:
    """Parts in which a pattern may change something, each in topological order; None if TVM must see all."""
    parts: list[list[int]] = []
    seen: set[int] = set()
    position = {here: number for number, here in enumerate(graph.exprs)}
    for call in graph.readers:
        if call in seen or not _may_change(graph, call, after_layout):
            continue
        part, stack = [], [call]
        seen.add(call)
        while stack:
            here = stack.pop()
            part.append(here)
            for other in (*graph.inputs[here], *graph.readers[here]):
                if other in graph.readers and other not in seen:
                    seen.add(other)
                    stack.append(other)
        if sum(here in graph.exits for here in part) != 1 or _may_double(graph, part):
            return None
        parts.append(sorted(part, key=position.__getitem__))
    return parts


def _may_change(graph: _Graph, call: int, after_layout: bool) -> bool:
    """Whether a call can be the root of a match that its rewrite does not give back as it was."""
    name, inputs = graph.name[call], graph.inputs[call]
    input_names = {graph.name.get(child, "") for child in inputs}
    if name in _CASTS or (name in _RESHAPES and input_names & _RESHAPES):
        return True
    if name in _NEUTRAL and any(_may_be(graph.exprs[child], _NEUTRAL[name]) for child in inputs):
        return True
    if name in _NEUTRAL and input_names & _FILLS:
        return True
    if after_layout:
        return False
    if name in _LIKE or name in _FILLS or input_names & _FILLS or "qnn.dequantize" in input_names:
        return True
    if name in _TRANSPOSES:
        return bool(input_names & _TRANSPOSES) or _keeps_order(name, graph.exprs[call].attrs)
    if name == "divide":
        return "sqrt" in input_names
    if name == "add" and (inputs[0] == inputs[1] or {"add", "multiply"} <= input_names):
        return True
    return name in ("add", "multiply") and _has_constants_twice(graph, call)


def _may_double(graph: _Graph, part: list[int]) -> bool:
    """Whether a part might add a value to itself: not if it is a tree over values that each occur once."""
    read = [
        child for here in part for child in graph.inputs[here] if not isinstance(graph.exprs[child], relay.Constant)
    ]
    return len(set(read)) < len(read) and any(graph.name[here] == "add" for here in part)


def _may_be(expr: relay.Expr, value: float) -> bool:
    """Whether an expression is a constant of one element and this value; types that NumPy lacks may be anything."""
    if not isinstance(expr, relay.Constant) or math.prod(expr.data.shape) != 1:
        return False
    return str(expr.data.dtype) == "bfloat16" or float(expr.data.numpy().item()) == value


def _keeps_order(name: str, attrs: Any) -> bool:
    """Whether a transpose leaves all axes where they are."""
    if name == "layout_transform":
        return bool(attrs.src_layout == attrs.dst_layout)
    return attrs.axes is None or [int(axis) for axis in attrs.axes] == list(range(len(attrs.axes)))


def _has_constants_twice(graph: _Graph, call: int) -> bool:
    """``(x + c1) + c2``, ``(x * c1) * c2`` and ``(x + c1) * c2``."""

    def reads_constant(here: int) -> bool:
        return any(isinstance(graph.exprs[child], relay.Constant) for child in graph.inputs[here])

    inner = [child for child in graph.inputs[call] if graph.name.get(child) in (graph.name[call], "add")]
    return reads_constant(call) and any(reads_constant(child) for child in inner)


def _batches(parts: list[list[int]]) -> list[list[list[int]]]:
    batches: list[list[list[int]]] = []
    room = 0
    for part in parts:
        if room < len(part):
            batches.append([])
            room = _BATCH
        batches[-1].append(part)
        room -= len(part)
    return batches


def _simplify_parts(
    graph: _Graph, parts: list[list[int]], step: tvm.transform.Pass
) -> dict[int, tuple[relay.Expr, dict[relay.Var, int]]]:
    """Run TVM's pass on parts side by side, each over variables of its own for what it reads."""
    variables: list[dict[int, relay.Var]] = []
    results: list[relay.Expr] = []
    exits: list[int] = []
    for part in parts:
        own: dict[int, relay.Var] = {}
        copies: dict[int, relay.Expr] = {}
        for here in part:
            for child in graph.inputs[here]:
                if child not in copies and child not in own:
                    expr = graph.exprs[child]
                    if isinstance(expr, relay.Constant):
                        copies[child] = expr
                    else:
                        own[child] = copies[child] = relay.Var(f"x{len(own)}", expr.checked_type)
            inputs = graph.inputs[here]
            copies[here] = with_children(
                graph.exprs[here], [graph.exprs[child] for child in inputs], [copies[child] for child in inputs]
            )
        (exit_,) = (here for here in part if here in graph.exits)
        exits.append(exit_)
        results.append(copies[exit_])
        variables.append(own)
    params = [variable for own in variables for variable in own.values()]
    mod = tvm.IRModule.from_expr(relay.Function(params, relay.Tuple(results)))
    main = step(relay.transform.InferType()(mod))["main"]
    simplified: dict[int, tuple[relay.Expr, dict[relay.Var, int]]] = {}
    number = 0
    for exit_, own, result in zip(exits, variables, main.body.fields, strict=True):
        simplified[exit_] = result, {main.params[number + i]: read for i, read in enumerate(own)}
        number += len(own)
    return simplified
