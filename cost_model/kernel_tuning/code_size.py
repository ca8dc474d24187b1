"""Whether LLVM will be done with a schedule in good time: MetaSchedule also draws some that take it half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import tvm
from tvm import tir
from tvm.tir.schedule import Schedule

_LANES = 8  # of a vector register, about
_OPERATIONS = 30_000  # vector operations in all, written out; LLVM takes 0.1 ms or more for each
_FEW_LANES = 16  # vectors up to here are not looked into
_SCATTERED = 512  # elements that are loaded or stored one by one for vectors; LLVM takes 1 to 4 ms for each


def builds_quickly(sch: Schedule) -> bool:
    """Judge a scheduled kernel, whose loops are still to be unrolled and vectorised."""
    leaves = list(_leaves(sch.mod["main"].body, _Nest()))
    if sum(leaf.operations for leaf in leaves) > _OPERATIONS:
        return False
    return max((leaf.lanes for leaf in leaves), default=1) <= _FEW_LANES or _scattered(sch.mod) <= _SCATTERED


@dataclass(frozen=True)
class _Nest:
    """The loops around a statement, outermost first, and up to how many iterations TVM writes out."""

    loops: tuple[tir.For, ...] = ()
    unroll_steps: int = 0


@dataclass(frozen=True)
class _Leaf:
    """A block at the bottom: vector operations that its code has, and the length of its vectors."""

    operations: int
    lanes: int


def _leaves(statement: tir.Stmt, nest: _Nest) -> Iterator[_Leaf]:
    if isinstance(statement, tir.SeqStmt):
        for part in statement.seq:
            yield from _leaves(part, nest)
    elif isinstance(statement, tir.For):
        steps = statement.annotations.get("pragma_auto_unroll_max_step", nest.unroll_steps)
        yield from _leaves(statement.body, _Nest((*nest.loops, statement), int(steps)))
    elif isinstance(statement, tir.BlockRealize):
        body = statement.block.body
        if isinstance(body, tir.BufferStore):
            yield _leaf(body, nest)
        else:
            yield from _leaves(body, nest)


def _leaf(store: tir.BufferStore, nest: _Nest) -> _Leaf:
    lanes = copies = 1
    for loop in reversed(nest.loops):
        extent = int(loop.extent)
        written_out = loop.kind == tir.ForKind.SERIAL and copies * extent <= nest.unroll_steps
        if loop.kind == tir.ForKind.VECTORIZED:
            lanes *= extent
        elif loop.kind == tir.ForKind.UNROLLED or written_out:
            copies *= extent
        else:
            break
    return _Leaf(_float_operations(store) * -(-lanes // _LANES) * copies, lanes)


def _float_operations(store: tir.BufferStore) -> int:
    found = [1]

    def note(node: object) -> None:
        if isinstance(node, tir.PrimExpr) and not isinstance(node, tir.FloatImm) and "float" in str(node.dtype):
            found.append(1)

    tir.stmt_functor.post_order_visit(store, note)
    return len(found)


def _scattered(mod: tvm.IRModule) -> int:
    found = [0]

    def note(node: object) -> None:
        if isinstance(node, (tir.BufferLoad, tir.BufferStore)):
            index = node.indices[-1]
            lanes = int(tvm.DataType(index.dtype).lanes)
            contiguous = (
                isinstance(index, tir.Ramp) and isinstance(index.stride, tir.IntImm) and index.stride.value == 1
            )
            if lanes > 1 and not contiguous and not isinstance(index, tir.Broadcast):
                found.append(lanes)

    tir.stmt_functor.post_order_visit(tvm.lower(mod)["main"].body, note)
    return sum(found)
