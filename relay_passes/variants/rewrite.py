"""Write variants into the base module, each op's number in the spans of what comes of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relay

from relay_passes.apply import call_again, given, op_span, with_values
from relay_passes.dataflow import Dataflow, address, flatten, post_order, with_main
from relay_passes.plain import with_children
from relay_passes.variants.variant import Alter, Site, Variant

_ALTERED = ("nn.conv2d", "nn.dense")
_ALTER = "FTVMAlterOpLayout"
_LOCK = threading.Lock()  # TVM keeps what AlterOpLayout asks in a registry of the whole process


@dataclass
class Rewritten:
    """A function with variants written into it, and what is remembered about its calls by their attributes.

    TVM's passes hand the attributes of a call on as the same object; the function keeps these alive.
    """

    function: relay.Function | None = None
    alter: dict[int, Alter] = field(default_factory=dict)  # by address of attributes
    origin: dict[int, int] = field(default_factory=dict)  # op by address of attributes; -1 if several share them


def rewrite(flow: Dataflow, chosen: dict[int, tuple[Site, Variant]]) -> Rewritten:
    """Repeat the base's calls in order, with the chosen variants in place of some."""
    done = Rewritten()
    exprs = given(flow)
    for op, call in enumerate(flow.calls):
        if flow.first_value[op] in exprs:  # computed with an op before it
            continue
        if op in chosen:
            for member, result in _variant(flow, op, chosen, exprs, done):
                exprs[flow.first_value[member]] = result
            continue
        call_again(flow, op, exprs, span=op_span)
        _remember(done.origin, call.attrs, op)
    done.function = with_values(flow, exprs)
    return done


def _variant(
    flow: Dataflow,
    op: int,
    chosen: dict[int, tuple[Site, Variant]],
    exprs: dict[int, relay.Expr],
    done: Rewritten,
) -> Iterator[tuple[int, relay.Expr]]:
    """The results of an op, and of those that are computed with it, over the expressions of the values before it."""
    site, variant = chosen[op]
    inputs = variant.inputs(site) if variant.inputs else tuple(flatten(tuple(flow.uses[op])))
    arguments = [exprs[value] for value in inputs]
    variables = [
        argument if isinstance(argument, relay.Constant) else relay.Var(f"x{position}", flow.values[value].type)
        for position, (argument, value) in enumerate(zip(arguments, inputs, strict=True))
    ]
    if variant.join is not None:
        members = [other for other in site.parallel if other in chosen and chosen[other][1] is variant]
        results = variant.join([chosen[other][0] for other in members], variables[0])
    else:
        assert variant.rewrite is not None
        members, results = [op], [variant.rewrite(site, variables)]
    new = {address(variable): argument for variable, argument in zip(variables, arguments, strict=True)}
    for member, result in zip(members, results, strict=True):
        for expr, children in post_order(result):
            if address(expr) in new:
                continue
            copy = with_children(expr, children, [new[address(child)] for child in children])
            if isinstance(copy, relay.Call):
                copy = relay.Call(copy.op, copy.args, copy.attrs, copy.type_args, op_span(member))
                _remember(done.origin, copy.attrs, member)
                if variant.alter is not None and copy.op.name in _ALTERED:
                    done.alter[address(copy.attrs)] = variant.alter
            new[address(expr)] = copy
        yield member, new[address(result)]


def _remember(origin: dict[int, int], attrs: Any, op: int) -> None:
    if attrs is not None:
        origin[address(attrs)] = op if origin.get(address(attrs), op) == op else -1


@contextlib.contextmanager
def altered_layouts(alter: dict[int, Alter]) -> Iterator[None]:
    """While this lasts, AlterOpLayout does what the variants say with their calls; with others what TVM would."""
    if not alter:
        yield
        return
    with _LOCK, contextlib.ExitStack() as stack:
        for name in _ALTERED:
            stack.enter_context(_asking_first(name, alter))
        yield


@contextlib.contextmanager
def _asking_first(name: str, alter: dict[int, Alter]) -> Iterator[None]:
    operator = relay.op.get(name)
    usual = operator.get_attr(_ALTER)

    def ask(attrs: Any, inputs: Sequence[relay.Expr], infos: Sequence[Any], result: relay.Type) -> Any:
        own = alter.get(address(attrs))
        return usual(attrs, inputs, infos, result) if own is None else own(attrs, inputs, infos, result)

    operator.reset_attr(_ALTER)
    operator.set_attr(_ALTER, ask)
    try:
        yield
    finally:
        operator.reset_attr(_ALTER)
        operator.set_attr(_ALTER, usual)


def with_spans(mod: tvm.IRModule, origin: dict[int, int]) -> tvm.IRModule:
    """Put op numbers back into the spans of calls from which AlterOpLayout took them; type-inferred as before."""
    new: dict[int, relay.Expr] = {}
    changed = False
    if not origin:
        return mod
    main = mod["main"]
    for expr, children in post_order(main.body):
        copy = with_children(expr, children, [new[address(child)] for child in children])
        if isinstance(copy, relay.Call) and copy.span is None and copy.attrs is not None:
            op = origin.get(address(copy.attrs), -1)
            if op >= 0:
                copy = relay.Call(copy.op, copy.args, copy.attrs, copy.type_args, op_span(op))
                changed = True
        new[address(expr)] = copy
    if not changed:
        return mod
    labelled = with_main(mod, relay.function.FunctionWithFields(main, body=new[address(main.body)]))
    return relay.transform.InferType()(labelled)
