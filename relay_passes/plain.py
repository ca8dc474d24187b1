"""Walk over, and rebuild, functions that hold nothing but calls of operators, tuples and projections."""

from __future__ import annotations

from collections.abc import Iterator

import tvm
from tvm import relay

from relay_passes.dataflow import address, post_order


class NotPlainError(Exception):
    """The module holds more than plain dataflow; where a pass of ours raises this, TVM's own pass runs instead."""


def plain_expressions(mod: tvm.IRModule) -> Iterator[tuple[relay.Expr, list[relay.Expr]]]:
    """Each expression of ``main`` with its children, in post-order.

    Raises
    ------
    NotPlainError
        If the module has other functions, if ``main`` is not to be optimised, or holds anything but inputs, constants,
        tuples, projections and calls of operators.
    """
    main = mod["main"]
    if len(mod.functions) != 1 or (main.attrs is not None and any(name in main.attrs for name in _SPECIAL)):
        raise NotPlainError
    for expr, children in post_order(main.body):
        if isinstance(expr, relay.Call):
            if not isinstance(expr.op, tvm.ir.Op):
                raise NotPlainError
        elif not isinstance(expr, relay.Constant | relay.Tuple | relay.TupleGetItem | relay.Var):
            raise NotPlainError
        yield expr, children


_SPECIAL = ("Compiler", "Primitive", "SkipOptimization")


def with_children(expr: relay.Expr, old: list[relay.Expr], new: list[relay.Expr]) -> relay.Expr:
    """The expression over other children; itself if they are the same."""
    if all(address(a) == address(b) for a, b in zip(old, new, strict=True)):
        return expr
    if isinstance(expr, relay.Call):
        return relay.Call(expr.op, new, expr.attrs, expr.type_args, expr.span)
    if isinstance(expr, relay.Tuple):
        return relay.Tuple(new, expr.span)
    return relay.TupleGetItem(new[0], expr.index, expr.span)


def with_body(mod: tvm.IRModule, body: relay.Expr) -> tvm.IRModule:
    """The module, type-inferred, with another body of ``main``; itself if the body is the same."""
    if body.same_as(mod["main"].body):
        return mod
    changed = mod.clone()
    changed.update_func(changed.get_global_var("main"), relay.function.FunctionWithFields(mod["main"], body=body))
    return relay.transform.InferType()(changed)
