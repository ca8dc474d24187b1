"""Concatenation as a computation: for CPUs, TVM has code of its own in its place, which no schedule takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import tvm
from tvm import tir

_EXTERN = "concatenate_ext"  # tvm/topi/x86/concat.py


def with_plain_concatenations(func: tir.PrimFunc) -> tir.PrimFunc | None:
    """The function with a block over the elements of each concatenation; None if it holds other code of TVM's own.

    Parameters
    ----------
    func : tir.PrimFunc
        As TVM's TIR converter that allows extern ops gives it.
    """
    unknown: list[str] = []

    def rewrite(realize: tir.BlockRealize) -> tir.Stmt | None:
        block = realize.block
        if block.iter_vars or block.name_hint == "root":
            return None
        stores = _stores(block)
        # TVM numbers blocks of one name
        if block.name_hint.startswith(_EXTERN) and all(isinstance(store.value, tir.BufferLoad) for store in stores):
            return _concatenation(block.name_hint, stores[0].buffer, [store.value.buffer for store in stores])
        unknown.append(block.name_hint)
        return None

    body = tir.stmt_functor.ir_transform(func.body, None, rewrite, ["tir.BlockRealize"])
    if unknown:
        return None
    if body.same_as(func.body):
        return func
    if not isinstance(body, tir.BlockRealize):  # TVM lets an extern op that is alone be the root
        body = tir.BlockRealize([], tir.const(True, "bool"), tir.Block([], [], [], "root", body))
    return _without_offsets(func.with_body(body))


def _stores(block: tir.Block) -> list[tir.BufferStore]:
    found: list[tir.BufferStore] = []
    tir.stmt_functor.post_order_visit(
        block.body, lambda node: found.append(node) if isinstance(node, tir.BufferStore) else None
    )
    return found


def _concatenation(name: str, output: tir.Buffer, parts: Sequence[tir.Buffer]) -> tir.Stmt:
    """Loops over all elements of the output; each takes its own from the part that it lies in."""
    shape = [int(extent) for extent in output.shape]
    axis = next((axis for axis in range(len(shape)) if any(int(part.shape[axis]) != shape[axis] for part in parts)), 0)
    extents = [int(part.shape[axis]) for part in parts]
    starts = list(itertools.accumulate(extents, initial=0))
    loops = [tir.Var(f"ax{i}", extent.dtype) for i, extent in enumerate(output.shape)]
    own = [tir.Var(f"v_ax{i}", extent.dtype) for i, extent in enumerate(output.shape)]

    def element(first: int, last: int) -> tir.PrimExpr:
        """From the parts ``first`` to ``last``; by halves, so that the conditions on the way are few."""
        if first == last:
            indices: list[tir.PrimExpr] = list(own)
            indices[axis] = own[axis] - starts[first]
            return tir.BufferLoad(parts[first], indices)
        middle = (first + last + 1) // 2
        return tir.if_then_else(own[axis] < starts[middle], element(first, middle - 1), element(middle, last))

    filled = [number for number, extent in enumerate(extents) if extent]
    parts, starts = [parts[number] for number in filled], [starts[number] for number in filled]
    block = tir.Block(
        [tir.IterVar(_whole(extent), var, tir.IterVar.DataPar) for extent, var in zip(output.shape, own, strict=True)],
        [tir.BufferRegion(part, _slice(part, own, axis)) for part in parts],
        [tir.BufferRegion(output, [_one(var) for var in own])],
        name,
        tir.BufferStore(output, element(0, len(parts) - 1), own),
    )
    nest: tir.Stmt = tir.BlockRealize(loops, tir.const(True, "bool"), block)
    for var, extent in reversed(list(zip(loops, output.shape, strict=True))):
        nest = tir.For(var, tir.const(0, extent.dtype), extent, tir.ForKind.SERIAL, nest)
    return nest


def _without_offsets(func: tir.PrimFunc) -> tir.PrimFunc:
    """The function with plain buffers in place of those that, for an extern op, may begin inside others."""
    plain: dict[tir.Buffer, tir.Buffer] = {}

    def moved(buffer: tir.Buffer) -> tir.Buffer:
        if isinstance(buffer.elem_offset, tir.IntImm):
            return buffer
        if buffer not in plain:
            plain[buffer] = tir.decl_buffer(buffer.shape, buffer.dtype, buffer.name, scope=buffer.scope())
        return plain[buffer]

    def regions(old: Sequence[tir.BufferRegion]) -> list[tir.BufferRegion]:
        return [tir.BufferRegion(moved(one.buffer), one.region) for one in old]

    def rewrite(node: tvm.Object) -> tvm.Object:
        if isinstance(node, tir.BufferLoad):
            return tir.BufferLoad(moved(node.buffer), node.indices)
        if isinstance(node, tir.BufferStore):
            return tir.BufferStore(moved(node.buffer), node.value, node.indices)
        return tir.Block(
            node.iter_vars,
            regions(node.reads),
            regions(node.writes),
            node.name_hint,
            node.body,
            node.init,
            [moved(buffer) for buffer in node.alloc_buffers],
            node.match_buffers,
            node.annotations,
        )

    body = tir.stmt_functor.ir_transform(func.body, None, rewrite, ["tir.BufferLoad", "tir.BufferStore", "tir.Block"])
    buffers = {var: moved(buffer) for var, buffer in func.buffer_map.items()}
    return tir.PrimFunc(func.params, body, func.ret_type, buffers, func.attrs)


def _slice(part: tir.Buffer, own: Sequence[tir.Var], axis: int) -> list[tvm.ir.Range]:
    """What an element may read of a part: one element, any along the axis."""
    return [_whole(part.shape[position]) if position == axis else _one(var) for position, var in enumerate(own)]


def _whole(extent: tir.PrimExpr) -> tvm.ir.Range:
    return tvm.ir.Range.from_min_extent(tir.const(0, extent.dtype), extent)


def _one(var: tir.Var) -> tvm.ir.Range:
    return tvm.ir.Range.from_min_extent(var, tir.const(1, var.dtype))
