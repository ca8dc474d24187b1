"""Synthetic OpGraphs of any size, for scaling figures and property tests."""

from __future__ import annotations

import numpy as np

from tvm_go.graph import OpGraph, Pattern

#: Operator, pattern and how often it occurs.
_KINDS = (
    ("nn.relu", Pattern.ELEMENTWISE, 0.30),
    ("add", Pattern.BROADCAST, 0.30),
    ("transpose", Pattern.INJECTIVE, 0.12),
    ("sum", Pattern.REDUCTION, 0.08),
    ("nn.dense", Pattern.OUT_FUSABLE, 0.17),
    ("nn.softmax", Pattern.OPAQUE, 0.03),
)


def synthetic(num_ops: int, rng: np.random.Generator, *, reach: int = 8, far: float = 0.02) -> OpGraph:
    """A random dataflow graph: each op reads one or two of the ``reach`` ops before it, sometimes a far one.

    Parameters
    ----------
    num_ops : int
    rng : numpy.random.Generator
    reach : int
        How far back an op usually looks.
    far : float
        Share of uses that look anywhere back (skip connections).
    """
    kinds = rng.choice(len(_KINDS), size=num_ops, p=[share for _, _, share in _KINDS])
    arity = np.where(kinds == 1, 2, 1)
    use_op = np.repeat(np.arange(num_ops), arity)
    back = rng.integers(1, reach + 1, size=len(use_op))
    distant = rng.random(len(use_op)) < far
    back[distant] = (rng.random(distant.sum()) * use_op[distant]).astype(np.int64) + 1
    use_value = np.maximum(use_op - back, -1) + 1  # value 0 is the input, value i + 1 the output of op i
    use_arg = np.arange(len(use_op)) - np.searchsorted(use_op, use_op)
    read = np.zeros(num_ops + 1, dtype=np.bool_)
    read[use_value] = True
    names = tuple(name for name, _, _ in _KINDS)
    shapes = np.tile(np.array([8, 16]), num_ops + 1)
    shapes[2:][0::2] = np.where(rng.random(num_ops) < 0.15, 4, 8)
    return OpGraph(
        op_names=names,
        attr_texts=("{}",),
        dtypes=("float32",),
        op_name=kinds.astype(np.int32),
        op_attrs=np.zeros(num_ops, dtype=np.int32),
        pattern=np.array([pattern for _, pattern, _ in _KINDS], dtype=np.int8)[kinds],
        flops=np.full(num_ops, 128.0),
        free=np.zeros(num_ops, dtype=np.bool_),
        fixed=np.zeros(num_ops, dtype=np.bool_),
        value_kind=np.concatenate([[1], np.zeros(num_ops)]).astype(np.int8),
        value_op=np.arange(-1, num_ops, dtype=np.int32),
        value_index=np.zeros(num_ops + 1, dtype=np.int32),
        value_dtype=np.zeros(num_ops + 1, dtype=np.int32),
        value_shape_start=np.arange(num_ops + 2, dtype=np.int64) * 2,
        shape_dims=shapes.astype(np.int64),
        value_bytes=np.full(num_ops + 1, 512, dtype=np.int64),
        value_scalar=np.full(num_ops + 1, np.nan),
        use_value=use_value.astype(np.int32),
        use_op=use_op.astype(np.int32),
        use_arg=use_arg.astype(np.int32),
        use_field=np.full(len(use_op), -1, dtype=np.int32),
        output_values=np.flatnonzero(~read[1:]).astype(np.int32) + 1,
        input_names=("x",),
    )
