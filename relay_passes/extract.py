"""From a prepared Relay module to an OpGraph: the same graph as arrays."""

from __future__ import annotations

import json
import math
from typing import Any, cast

import numpy as np
import tvm
from tvm import relay

from relay_passes.dataflow import Dataflow, Operator, Value, flatten, read
from relay_passes.flops import op_flops
from tvm_go.graph import OpGraph, ValueKind, item_bytes, vocabulary

#: Scalars of these types are compiled into a kernel; all other constants become parameters (FuseOps' rule).
_INLINED = {"int32", "int64", "float32", "float64", "bool"}


def extract(mod: tvm.IRModule) -> OpGraph:
    """Read the dataflow graph of ``mod["main"]``.

    Linear in the size of the graph and free of recursion, so a chain of 80,000 ops is as safe as a wide graph.

    Parameters
    ----------
    mod : tvm.IRModule
        Type-inferred, as :func:`relay_passes.prepare` returns it.

    Raises
    ------
    UnsupportedModelError
        See :func:`relay_passes.dataflow.read`.
    """
    return to_graph(read(mod))


def to_graph(flow: Dataflow) -> OpGraph:
    """Arrays of a dataflow that was read from Relay."""
    shapes = [value.shape for value in flow.values]
    names = [operator.name for operator in flow.operators]
    attrs = [attribute_text(call, operator) for call, operator in zip(flow.calls, flow.operators, strict=True)]
    name_vocabulary, name_id = vocabulary(names)
    attr_vocabulary, attr_id = vocabulary(attrs)
    dtype_vocabulary, dtype_id = vocabulary([value.dtype for value in flow.values])

    rows = [
        (value, op, position, part if isinstance(leaves, tuple) else -1)
        for op, arguments in enumerate(flow.uses)
        for position, leaves in enumerate(arguments)
        for part, value in enumerate(flatten(leaves))
    ]
    uses = np.array(rows, dtype=np.int32).reshape(-1, 4)
    starts = np.zeros(len(shapes) + 1, dtype=np.int64)
    np.cumsum([len(shape) for shape in shapes], out=starts[1:])
    sizes = np.array([item_bytes(text) for text in dtype_vocabulary], dtype=np.int64)
    elements = np.array([math.prod(shape) for shape in shapes], dtype=np.int64)
    return OpGraph(
        op_names=name_vocabulary,
        attr_texts=attr_vocabulary,
        dtypes=dtype_vocabulary,
        op_name=name_id,
        op_attrs=attr_id,
        pattern=np.array([operator.pattern for operator in flow.operators], dtype=np.int8),
        flops=np.array(
            [
                op_flops(name, text, _argument_shapes(arguments, shapes), shapes[first])
                for name, text, arguments, first in zip(names, attrs, flow.uses, flow.first_value, strict=True)
            ],
            dtype=np.float64,
        ),
        free=np.array([operator.is_reshape for operator in flow.operators], dtype=np.bool_),
        fixed=np.array([not operator.is_computed for operator in flow.operators], dtype=np.bool_),
        value_kind=np.array([value.kind for value in flow.values], dtype=np.int8),
        value_op=np.array([value.op for value in flow.values], dtype=np.int32),
        value_index=np.array([value.index for value in flow.values], dtype=np.int32),
        value_dtype=dtype_id,
        value_shape_start=starts,
        shape_dims=np.array([d for shape in shapes for d in shape], dtype=np.int64),
        value_bytes=elements * sizes[dtype_id],
        value_scalar=np.array([_scalar(value) for value in flow.values], dtype=np.float64),
        use_value=uses[:, 0].copy(),
        use_op=uses[:, 1].copy(),
        use_arg=uses[:, 2].copy(),
        use_field=uses[:, 3].copy(),
        output_values=np.array(flatten(flow.returned), dtype=np.int32),
        input_names=tuple(cast(str, v.expr.name_hint) for v in flow.values if v.kind == ValueKind.INPUT),
    )


def attribute_text(call: relay.Call, operator: Operator) -> str:
    """Canonical JSON of a call's attributes: keys sorted, the same in every process."""
    if operator.is_function:
        body = call.op if isinstance(call.op, relay.Function) else call.op.name_hint
        return json.dumps({"callee": body if isinstance(body, str) else f"{tvm.ir.structural_hash(body):x}"})
    attrs = call.attrs
    if attrs is None:
        return "{}"
    saved = tvm.ir.save_json(attrs)  # one call into TVM, where reading field by field takes dozens
    if saved not in _ATTRIBUTE_TEXTS:
        fields = {str(key): _plain(getattr(attrs, key)) for key in attrs.keys()}  # noqa: SIM118
        _ATTRIBUTE_TEXTS[saved] = json.dumps(fields, sort_keys=True)
    return _ATTRIBUTE_TEXTS[saved]


_ATTRIBUTE_TEXTS: dict[str, str] = {}


def _plain(value: Any) -> Any:
    """An attribute's value as JSON: numbers, texts, lists; anything else by TVM's own text."""
    if value is None or isinstance(value, bool | int | float | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, tvm.tir.IntImm | tvm.tir.FloatImm):
        return value.value
    if isinstance(value, tvm.ir.Array | list | tuple):
        return [_plain(part) for part in value]
    return str(value)


def _argument_shapes(arguments: list[Any], shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [shapes[value] for leaves in arguments for value in flatten(leaves)]


def _scalar(value: Value) -> float:
    """The number of a scalar constant that is compiled into its kernel; NaN for any other value."""
    if value.kind == ValueKind.CONSTANT and not value.shape and value.dtype in _INLINED:
        return float(value.expr.data.numpy())
    return math.nan
