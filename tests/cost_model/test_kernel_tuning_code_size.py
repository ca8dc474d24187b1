"""Schedules that LLVM would be at for half a minute are known before they are built."""

from __future__ import annotations

from tvm import te, tir
from tvm.tir.schedule import Schedule

from cost_model.kernel_tuning.code_size import builds_quickly


def packed_product(lanes: int, steps: int) -> Schedule:
    """Rows times a matrix in blocks of 32 columns, in vectors of some lanes, reduction steps written out."""
    x, w = te.placeholder((32, 96), name="x"), te.placeholder((3, 96, 32), name="w")
    k = te.reduce_axis((0, 96), name="k")
    product = te.compute((32, 96), lambda i, j: te.sum(x[i, k] * w[j // 32, k, j % 32], axis=k), name="y")
    sch = Schedule(te.create_prim_func([x, w, product]))
    rows, columns, reduction = sch.get_loops(sch.get_block("y"))
    outer, inner = sch.split(columns, [None, lanes])
    sch.reorder(rows, outer, reduction, inner)
    sch.vectorize(inner)
    sch.decompose_reduction(sch.get_block("y"), reduction)
    sch.annotate(rows, "pragma_auto_unroll_max_step", steps)
    sch.annotate(rows, "pragma_unroll_explicit", 1)
    return sch


def exponentials(copies: int) -> Schedule:
    x = te.placeholder((64, copies), name="x")
    polynomial = te.compute((64, copies), lambda i, j: _horner(x[i, j], 100), name="y")
    sch = Schedule(te.create_prim_func([x, polynomial]))
    sch.unroll(sch.get_loops(sch.get_block("y"))[-1])
    return sch


def _horner(x: tir.PrimExpr, degree: int) -> tir.PrimExpr:
    value = x
    for _ in range(degree):
        value = value * x + tir.FloatImm("float32", 0.5)
    return value


def test_vectors_within_a_block_of_the_layout_are_good_and_across_blocks_are_not() -> None:
    assert builds_quickly(packed_product(32, 64))
    assert builds_quickly(packed_product(16, 512))
    assert builds_quickly(packed_product(48, 0))
    assert not builds_quickly(packed_product(48, 512))


def test_long_expressions_may_be_written_out_a_few_times_only() -> None:
    assert builds_quickly(exponentials(16))
    assert not builds_quickly(exponentials(256))
