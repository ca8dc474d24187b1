"""Variants of matrix products: ``nn.batch_matmul`` and ``nn.dense``."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relay

from relay_passes.variants.variant import DEFAULT, Alter, Array, Site, Variant, constant, keep, same_call
from tvm_go.graph import ValueKind

BLOCKS = (8, 16, 32)
"""Columns of a packed weight that lie side by side."""
_TILE_ROWS = 8  # of TOPI's dense_pack


def pack(block: int) -> Alter:
    """What makes AlterOpLayout turn ``nn.dense`` into ``nn.contrib_dense_pack``."""

    def alter(attrs: Any, inputs: Sequence[relay.Expr], infos: Sequence[Any], result: relay.Type) -> relay.Expr:
        return relay.nn.contrib_dense_pack(inputs[0], inputs[1], f"NC{block}n", None, result.dtype)

    return alter


def is_packable(site: Site, block: int) -> bool:
    """Whether the op's weight falls into whole blocks at compile time; the target must have x86 schedules."""
    return site.lanes > 0 and site.is_constant(1) and site.result.shape[-1] % block == 0


def is_linear(site: Site) -> bool:
    """Whether a batch_matmul multiplies every row of its left input by one constant matrix."""
    return site.is_float and not site.attrs.transpose_a and site.is_constant(1) and _is_one_matrix(site)


def _is_one_matrix(site: Site) -> bool:
    weight = site.argument(1)
    if weight.shape[0] == 1:
        return True
    data = weight.expr.data.numpy()
    return bool((data == data[:1]).all())


def linear_weight(site: Site) -> Array:
    """The constant of an ``nn.dense`` or of an :func:`is_linear` op, [N, K]."""
    data: Array = site.argument(1).expr.data.numpy()
    if site.call.op.name == "nn.dense":
        return data
    return data[0] if site.attrs.transpose_b else data[0].T


def rows(site: Site, left: relay.Expr) -> relay.Expr:
    """The left input as a matrix, [M, K]."""
    shape = site.argument(0).shape
    return left if len(shape) == 2 else relay.reshape(left, (-1, shape[-1]))


def from_rows(site: Site, product: relay.Expr) -> relay.Expr:
    """The op's result from a matrix [M, N]."""
    shape = site.result.shape
    return product if len(shape) == 2 else relay.reshape(product, shape)


def _as_dense(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    weight = constant(linear_weight(site))
    return from_rows(site, relay.nn.dense(rows(site, arguments[0]), weight, out_dtype=site.result.dtype))


def _padding(site: Site, columns: int) -> tuple[int, int]:
    """Rows and columns that fill the last tile of TVM's packed dense: 8 rows, and two vectors side by side."""
    row_count = math.prod(site.result.shape[:-1])
    return -row_count % _TILE_ROWS if row_count > 2 * _TILE_ROWS else 0, -columns % (2 * site.lanes)


def _pads(site: Site) -> bool:
    return site.lanes > 0 and site.is_constant(1) and any(_padding(site, site.result.shape[-1]))


def _as_padded_dense(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    """Zeros fill the last tiles: TVM's own tiles are divisors, of 1000 columns 25 wide, of a prime number 1."""
    return _join([site], arguments[0])[0]


def _join(sites: list[Site], left: relay.Expr) -> list[relay.Expr]:
    """One padded ``nn.dense`` for all; each op's result is its slice of the columns."""
    weight = np.concatenate([linear_weight(site) for site in sites])
    more_rows, more_columns = _padding(sites[0], len(weight))
    matrix = rows(sites[0], left)
    if more_rows:
        matrix = relay.nn.pad(matrix, ((0, more_rows), (0, 0)))
    weight = np.pad(weight, ((0, more_columns), (0, 0)))
    product = relay.nn.dense(matrix, constant(weight), out_dtype=sites[0].result.dtype)
    row_count = math.prod(sites[0].result.shape[:-1])
    ends = np.cumsum([site.result.shape[-1] for site in sites]).tolist()
    return [
        from_rows(site, relay.strided_slice(product, [0, begin], [row_count, end]))
        for site, begin, end in zip(sites, [0, *ends], ends, strict=False)
    ]


def parallel_key(site: Site) -> str | None:
    """What ops that read the same left input must have in common to be computed as one; None for one that cannot."""
    if not site.lanes or not site.is_constant(1) or not site.is_float:
        return None
    return str(site.call.op.name) if site.call.op.name == "nn.dense" or is_linear(site) else None


def _has_right_side(site: Site, *, transposed: bool) -> bool:
    return site.is_float and bool(site.attrs.transpose_b) == transposed


def _turn_right_side(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    left, right = arguments
    return relay.nn.batch_matmul(
        left,
        relay.transpose(right, (0, 2, 1)),
        out_dtype=site.result.dtype,
        transpose_a=bool(site.attrs.transpose_a),
        transpose_b=not site.attrs.transpose_b,
    )


def _is_packable_linear(site: Site, *, block: int) -> bool:
    return is_packable(site, block) and is_linear(site)


def _is_packable_dense(site: Site, *, block: int) -> bool:
    return is_packable(site, block) and site.is_float


def _is_alterable(site: Site) -> bool:
    return site.lanes > 0 and site.is_float


def _scale(site: Site) -> tuple[int, int, int] | None:
    """Of a dense whose weight is a constant times a computed row: the values of left side, constant and row."""
    left, weight = site.flow.uses[site.op]
    assert isinstance(left, int)
    assert isinstance(weight, int)
    producer = site.flow.values[weight].op
    if producer < 0 or site.flow.operators[producer].name != "multiply":
        return None
    first, second = site.flow.uses[producer]
    assert isinstance(first, int)
    assert isinstance(second, int)
    for matrix, row in ((first, second), (second, first)):
        columns = site.flow.values[weight].shape[-1]
        shape = site.flow.values[row].shape
        is_row = len(shape) <= 2 and shape[-1:] == (columns,) and math.prod(shape) == columns
        if site.flow.values[matrix].kind == ValueKind.CONSTANT and is_row:
            return left, matrix, row
    return None


def _scale_inputs(site: Site) -> tuple[int, ...]:
    found = _scale(site)
    assert found is not None
    return found


def _unscaled(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    """Scale the left side. TVM's FoldScaleAxis scales the weight, which is then no constant, and packed in each run."""
    left, weight, row = arguments
    return relay.nn.dense(relay.multiply(left, row), weight, out_dtype=site.result.dtype)


_COMBINED = Variant("combined", lambda site: len(site.parallel) > 1, join=_join)

BATCH_MATMUL = (
    Variant("NN", functools.partial(_has_right_side, transposed=True), _turn_right_side),
    Variant("NT", functools.partial(_has_right_side, transposed=False), _turn_right_side),
    Variant("dense", is_linear, _as_dense),
    Variant("dense/padded", lambda site: _pads(site) and is_linear(site), _as_padded_dense),
    Variant("dense/plain", lambda site: site.lanes > 0 and is_linear(site), _as_dense, alter=keep),
    *(
        Variant(
            f"dense/packed/{block}", functools.partial(_is_packable_linear, block=block), _as_dense, alter=pack(block)
        )
        for block in BLOCKS
    ),
    _COMBINED,
)

DENSE = (
    Variant("unscaled", lambda site: _scale(site) is not None, _unscaled, inputs=_scale_inputs),
    Variant("padded", lambda site: _pads(site) and site.is_float, _as_padded_dense),
    Variant("plain", _is_alterable, same_call, alter=keep),
    *(
        Variant(f"packed/{block}", functools.partial(_is_packable_dense, block=block), same_call, alter=pack(block))
        for block in BLOCKS
    ),
    _COMBINED,
)


def suggest_batch_matmul(site: Site) -> str:
    """A product with a constant is many times faster as dense; of others nothing is known without measuring."""
    if not is_linear(site):
        return DEFAULT
    return "dense/padded" if _has_poor_tiles(site) else "dense"


def suggest_dense(site: Site) -> str:
    """TVM's own packed form, where its tiles are whole vectors, of a constant weight."""
    if _scale(site) is not None:
        return "unscaled"
    return "padded" if site.is_float and _pads(site) and _has_poor_tiles(site) else DEFAULT


def _has_poor_tiles(site: Site) -> bool:
    """Whether the tiles that TVM would take are no whole vectors, or single rows of many."""
    more_rows, _ = _padding(site, site.result.shape[-1])
    return site.result.shape[-1] % site.lanes != 0 or more_rows % 2 == 1
