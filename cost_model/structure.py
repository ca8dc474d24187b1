"""A kernel apart from its model: as JSON that a log can keep, and many of them as one graph again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tvm_go.errors import LogError
from tvm_go.graph import Int32, OpGraph, ValueKind, item_bytes, vocabulary
from tvm_go.kernels import Kernel

Structure = dict[str, Any]
"""A kernel as a JSON object.

``ops``: of each, in topological order: name, attributes (JSON text), pattern, flops, whether it is free, its arguments
(a value, or a list of values for a tuple), its number of outputs. ``values``: of each the dtype, the shape and, for a
scalar constant, its number; first what the kernel is given, then what its ops make. ``outputs``: values that leave.
"""


def structure(graph: OpGraph, kernel: Kernel) -> Structure:
    """One kernel of a graph, for :func:`union` to read."""
    local: dict[int, int] = {}
    values: list[list[Any]] = []

    def number(value: int) -> int:
        if value not in local:
            local[value] = len(local)
            scalar = float(graph.value_scalar[value])
            more = [] if math.isnan(scalar) else [scalar]
            values.append([graph.dtypes[graph.value_dtype[value]], list(graph.shape(value)), *more])
        return local[value]

    inside = set(kernel.ops)
    for op in kernel.ops:
        for value in graph.use_value[graph.use_start[op] : graph.use_start[op + 1]].tolist():
            if graph.value_op[value] not in inside:
                number(value)
    ops = []
    for op in kernel.ops:
        made = graph.outputs_of(op)
        arguments: dict[int, Any] = {}
        for use in range(graph.use_start[op], graph.use_start[op + 1]):
            value, argument = number(int(graph.use_value[use])), int(graph.use_arg[use])
            if graph.use_field[use] < 0:
                arguments[argument] = value
            else:
                arguments.setdefault(argument, []).append(value)
        for value in made:
            number(value)
        attrs = graph.attr_texts[graph.op_attrs[op]]
        row = (int(graph.pattern[op]), float(graph.flops[op]), int(graph.free[op]))
        ops.append([graph.name(op), attrs, *row, [arguments[argument] for argument in sorted(arguments)], len(made)])
    return {"ops": ops, "values": values, "outputs": [local[value] for value in kernel.outputs]}


def union(structures: Sequence[Structure]) -> tuple[OpGraph, Int32]:
    """Kernels side by side in one graph, with the kernel of each op: int32 [N].

    Raises
    ------
    LogError
        If one is not what :func:`structure` made.
    """
    try:
        return _union(structures)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise LogError(f"the structure of a kernel is damaged ({error!r}): collect its kernels again") from None


def _union(structures: Sequence[Structure]) -> tuple[OpGraph, Int32]:
    ops: list[list[Any]] = []
    values: list[list[Any]] = []
    producers: list[tuple[int, int]] = []  # op and position; -1 for what a kernel is given
    uses: list[tuple[int, int, int, int]] = []
    outputs: list[int] = []
    kernel: list[int] = []
    for number, one in enumerate(structures):
        first = len(values)
        values += one["values"]
        given = len(one["values"]) - sum(op[6] for op in one["ops"])
        producers += [(-1, position) for position in range(given)]
        for row in one["ops"]:
            op = len(ops)
            ops.append(row)
            kernel.append(number)
            producers += [(op, position) for position in range(row[6])]
            for argument, read in enumerate(row[5]):
                fields = enumerate(read) if isinstance(read, list) else [(-1, read)]
                uses += [(first + value, op, argument, field) for field, value in fields]
        outputs += [first + value for value in one["outputs"]]
    return _arrays(ops, values, producers, uses, outputs), np.array(kernel, dtype=np.int32)


def _arrays(
    ops: list[list[Any]],
    values: list[list[Any]],
    producers: list[tuple[int, int]],
    uses: list[tuple[int, int, int, int]],
    outputs: list[int],
) -> OpGraph:
    names, name_id = vocabulary([row[0] for row in ops])
    attrs, attr_id = vocabulary([row[1] for row in ops])
    dtypes, dtype_id = vocabulary([value[0] for value in values])
    sizes = np.array([item_bytes(dtype) for dtype in dtypes], dtype=np.int64)
    starts = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum([len(value[1]) for value in values], out=starts[1:])
    produced = np.array(producers, dtype=np.int32).reshape(-1, 2)
    scalar = np.array([value[2] if len(value) > 2 else math.nan for value in values], dtype=np.float64)
    kind = np.where(produced[:, 0] >= 0, ValueKind.OP, np.where(np.isnan(scalar), ValueKind.INPUT, ValueKind.CONSTANT))
    read = np.array(uses, dtype=np.int32).reshape(-1, 4)
    return OpGraph(
        op_names=names,
        attr_texts=attrs,
        dtypes=dtypes,
        op_name=name_id,
        op_attrs=attr_id,
        pattern=np.array([row[2] for row in ops], dtype=np.int8),
        flops=np.array([row[3] for row in ops], dtype=np.float64),
        free=np.array([row[4] for row in ops], dtype=np.bool_),
        fixed=np.zeros(len(ops), dtype=np.bool_),
        value_kind=kind.astype(np.int8),
        value_op=produced[:, 0].copy(),
        value_index=produced[:, 1].copy(),
        value_dtype=dtype_id,
        value_shape_start=starts,
        shape_dims=np.array([extent for value in values for extent in value[1]], dtype=np.int64),
        value_bytes=np.array([math.prod(value[1]) for value in values], dtype=np.int64) * sizes[dtype_id],
        value_scalar=scalar,
        use_value=read[:, 0].copy(),
        use_op=read[:, 1].copy(),
        use_arg=read[:, 2].copy(),
        use_field=read[:, 3].copy(),
        output_values=np.array(outputs, dtype=np.int32),
        input_names=(),
    )
