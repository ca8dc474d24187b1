"""Kernels that stand in a log as Relay again, so that they can be measured without their models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relay

from cost_model.structure import Structure
from relay_passes.dataflow import operator_of
from relay_passes.extract import attribute_text
from tvm_go.errors import LogError

_ATTRIBUTES = {"nn.contrib_dense_pack": "relay.attrs.DensePackAttrs", "cumsum": "relay.attrs.ScanopAttrs"}
# of operators that TVM registers with others, or with none
_GIVE_TUPLES = ("split",)  # also of one tensor


def rebuilt(kernel: Structure) -> relay.Function:
    """A function, type-inferred, whose ops are those of a kernel.

    Raises
    ------
    LogError
        If an operator, its attributes or a type are not those of this TVM, or the structure is damaged.
    """
    try:
        function = _typed(_function(kernel))
        _check(kernel, function)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, tvm.TVMError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[-1]
        raise LogError(f"a kernel of the log cannot be built again: {reason}") from error
    return function


def side_by_side(functions: Sequence[relay.Function]) -> tvm.IRModule:
    """Functions as one, type-inferred, whose ops are theirs, one function after the other, as in `structure.union`."""
    params = [param for function in functions for param in function.params]
    bodies = [function.body for function in functions]
    results = [field for body in bodies for field in (body.fields if isinstance(body, relay.Tuple) else [body])]
    renamed = {param: relay.Var(f"p{number}", param.type_annotation) for number, param in enumerate(params)}
    body = relay.bind(relay.Tuple(results), renamed)
    return tvm.IRModule.from_expr(_typed(relay.Function(list(renamed.values()), body)))


def _function(kernel: Structure) -> relay.Function:
    values, ops = kernel["values"], kernel["ops"]
    params: list[relay.Var] = []
    exprs: list[relay.Expr] = []
    for dtype, shape, *scalar in values[: len(values) - sum(op[6] for op in ops)]:
        if scalar:
            exprs.append(relay.const(np.array(scalar[0], dtype=dtype)))
        else:
            params.append(relay.var(f"p{len(params)}", shape=shape, dtype=dtype))
            exprs.append(params[-1])
    for name, attrs, _, _, _, arguments, outputs in ops:
        call = relay.Call(tvm.ir.Op.get(name), [_argument(one, exprs) for one in arguments], _attributes(name, attrs))
        exprs += (
            [call]
            if outputs == 1 and name not in _GIVE_TUPLES
            else [relay.TupleGetItem(call, field) for field in range(outputs)]
        )
    results = [exprs[value] for value in kernel["outputs"]]
    return relay.Function(params, results[0] if len(results) == 1 else relay.Tuple(results))


def _argument(values: int | list[int], exprs: list[relay.Expr]) -> relay.Expr:
    return relay.Tuple([exprs[value] for value in values]) if isinstance(values, list) else exprs[values]


def _attributes(name: str, text: str) -> tvm.ir.Attrs | None:
    op = tvm.ir.Op.get(name)
    kind = _ATTRIBUTES.get(name) or op.attrs_type_key
    fields: dict[str, Any] = json.loads(text)
    if not kind and not fields:
        return None
    attrs = tvm.ir.make_node(kind, **fields)
    again = attribute_text(relay.Call(op, [], attrs), operator_of(tvm.IRModule(), op))
    if again != text:
        raise ValueError(f"{name} has the attributes {again}, not {text}")
    return attrs


def _typed(function: relay.Function) -> relay.Function:
    return relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]


def _check(kernel: Structure, function: relay.Function) -> None:
    """Whether TVM infers the types that the log names."""
    kind = function.ret_type
    found = list(kind.fields) if isinstance(kind, relay.TupleType) else [kind]
    for value, one in zip(kernel["outputs"], found, strict=True):
        dtype, shape = kernel["values"][value][:2]
        if one.dtype != dtype or list(map(int, one.shape)) != shape:
            raise ValueError(f"an output has the type {one}, not {dtype} {shape}")
