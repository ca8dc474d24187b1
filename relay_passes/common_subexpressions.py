"""Tell when EliminateCommonSubexpr would merge nothing: TVM compares each call with all earlier ones of its kind."""

from __future__ import annotations

import re
from typing import Any

import tvm
from tvm import relay

from relay_passes.dataflow import Operator, address, operator_of
from relay_passes.extract import attribute_text
from relay_passes.plain import plain_expressions


def has_common_subexpressions(mod: tvm.IRModule) -> bool:
    """Whether ``EliminateCommonSubexpr`` might merge something.

    The pass merges calls of one operator on the same arguments with equal attributes, and projections of one tuple
    (``tvm/src/relay/transforms/eliminate_common_subexpr.cc``). Its first merge needs arguments that are the same
    expressions, or equal scalars, before any merge: if no two calls have such, there is none.

    Raises
    ------
    NotPlainError
        See :func:`relay_passes.plain.plain_expressions`.
    """
    keys: dict[int, Any] = {}  # what an expression is as an argument, by address
    calls: dict[Any, list[tuple[relay.Call, Operator]]] = {}
    projections: set[tuple[int, int]] = set()
    for expr, children in plain_expressions(mod):
        key: Any = address(expr)
        if isinstance(expr, relay.Call):
            operator = operator_of(mod, expr.op)
            alike = calls.setdefault((operator, *(keys[address(child)] for child in children)), [])
            alike.append((expr, operator))
        elif isinstance(expr, relay.TupleGetItem):
            projection = address(children[0]), int(expr.index)
            if projection in projections:
                return True
            projections.add(projection)
        elif isinstance(expr, relay.Tuple):
            key = tuple(keys[address(child)] for child in children)
        elif isinstance(expr, relay.Constant) and not expr.data.shape:
            key = str(expr.data.dtype), expr.data.numpy().tobytes()
        keys[address(expr)] = key
    return any(len({_whole_attributes(*entry) for entry in alike}) < len(alike) for alike in calls.values())


def _whole_attributes(call: relay.Call, operator: Operator) -> str:
    """Attributes without fractions, which TVM compares with a tolerance."""
    return re.sub(r"-?\d+(\.\d+(e[+-]?\d+)?|e[+-]?\d+)|NaN|-?Infinity", "", attribute_text(call, operator))
