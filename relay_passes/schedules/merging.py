"""Compute pointwise blocks of one domain in one pass: what they share stays in registers, and is computed once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tvm
from tvm import tir
from tvm.tir.schedule import Schedule

from relay_passes.schedules.blocks import Block, leaf_blocks


def merge_pointwise(func: tir.PrimFunc) -> tir.PrimFunc:
    """Merge the pointwise blocks of a kernel that run over the same domain into one block with several outputs.

    A value that only the merged block reads becomes a variable of one element, a vector of them once the block is
    vectorised. Kernels with reductions stay as they are: their schedules place each block by itself.

    Parameters
    ----------
    func : tir.PrimFunc
        One root block with blocks below it, each in loops of its own, as TE's computations come.
    """
    sch = Schedule(tvm.IRModule({"main": func}))
    blocks = leaf_blocks(sch)
    if len(blocks) < 2 or any(block.is_reduction for block in blocks):
        return func
    root = sch.get(sch.get_block("root"))
    statements = list(root.body.seq) if isinstance(root.body, tir.SeqStmt) else [root.body]
    if len(statements) != len(blocks):
        return func
    groups = _groups(blocks)
    if len(groups) == len(blocks):
        return func
    kept_buffers = list(func.buffer_map.values())
    body: list[tir.Stmt] = []
    private: list[tir.Buffer] = []
    for group in groups:
        if len(group) == 1:
            body.append(statements[group[0]])
            continue
        others = [load.buffer for i, block in enumerate(blocks) if i not in group for load in block.loads]
        merged = [blocks[i] for i in group]
        stored = [block.output for block in merged if _holds([*kept_buffers, *others], block.output)]
        private += [block.output for block in merged if not _holds(stored, block.output)]
        body.append(_loops(_merged_block(merged, stored)))
    new_root = tir.Block(
        [], [], [], "root", tir.SeqStmt(body) if len(body) > 1 else body[0], None,
        [buffer for buffer in root.alloc_buffers if not _holds(private, buffer)], [], root.annotations,
    )  # fmt: skip
    return func.with_body(tir.BlockRealize([], True, new_root))


def _groups(blocks: Sequence[Block]) -> list[list[int]]:
    """Indices of blocks to compute together, in an order in which each group comes after what it reads."""
    below: list[set[int]] = []  # all that a block depends on
    group_of: list[int] = []
    members: list[list[int]] = []
    for index, block in enumerate(blocks):
        direct = {i for i in range(index) if any(load.buffer.same_as(blocks[i].output) for load in block.loads)}
        below.append(direct.union(*(below[i] for i in direct)))
        joined = next(
            (number for number, group in enumerate(members) if _joins(block, index, group, blocks, direct, below)), None
        )
        if joined is None:
            joined = len(members)
            members.append([])
        members[joined].append(index)
        group_of.append(joined)
    return _sorted(members, group_of, below)


def _joins(
    block: Block, index: int, group: Sequence[int], blocks: Sequence[Block], direct: set[int], below: Sequence[set[int]]
) -> bool:
    if not block.stores_in_place() or not blocks[group[0]].stores_in_place():
        return False
    if block.spatial != blocks[group[0]].spatial:
        return False
    if any(below[i] & set(group) for i in below[index] if i not in group):
        return False  # through another block, the group would depend on itself
    return all(_reads_in_place(block, blocks[i].output) for i in direct & set(group))


def _sorted(members: list[list[int]], group_of: list[int], below: list[set[int]]) -> list[list[int]]:
    """Groups in an order that dependence allows; every group alone where merging made a circle of several."""
    needs = [{group_of[j] for i in group for j in below[i]} - {number} for number, group in enumerate(members)]
    placed: list[int] = []
    while len(placed) < len(members):
        ready = [n for n in range(len(members)) if n not in placed and needs[n] <= set(placed)]
        if not ready:
            return [[index] for index in range(len(group_of))]
        placed.append(ready[0])
    return [members[number] for number in placed]


def _reads_in_place(block: Block, buffer: tir.Buffer) -> bool:
    """Whether a block reads only that element of a buffer at which it writes."""
    return all(
        len(load.indices) == len(block.spatial_vars)
        and all(index.same_as(var) for index, var in zip(load.indices, block.spatial_vars, strict=True))
        for load in block.loads
        if load.buffer.same_as(buffer)
    )


def _merged_block(blocks: Sequence[Block], stored: Sequence[tir.Buffer]) -> tir.Block:
    variables = blocks[0].spatial_vars
    values: list[tuple[tir.Buffer, tir.Buffer]] = []  # what a block of the kernel wrote, and the variable for it
    statements: list[tir.Stmt] = []
    zero = tir.IntImm("int64", 0)
    for block in blocks:
        renamed = tir.stmt_functor.substitute(
            block.statement.body.value, dict(zip(block.spatial_vars, variables, strict=True))
        )
        value = _with_variables(renamed, values)
        read = any(load.buffer.same_as(block.output) for other in blocks for load in other.loads)
        if read:
            # "global" is what TVM keeps on the stack of a CPU; of another scope, it asks for memory at every element
            variable = tir.decl_buffer([1], block.output.dtype, f"{block.output.name}_value", scope="global")
            values.append((block.output, variable))
            statements.append(tir.BufferStore(variable, value, [zero]))
            value = tir.BufferLoad(variable, [zero])
        if _holds(stored, block.output):
            statements.append(tir.BufferStore(block.output, value, variables))
    local = [variable for _, variable in values]
    reads = [
        _renamed_region(region, dict(zip(block.spatial_vars, variables, strict=True)))
        for block in blocks
        for region in block.statement.reads
        if not any(region.buffer.same_as(buffer) for buffer, _ in values)
    ]
    points = [tvm.ir.Range.from_min_extent(var, tir.IntImm(var.dtype, 1)) for var in variables]
    writes = [tir.BufferRegion(buffer, points) for buffer in stored]
    return tir.Block(
        blocks[0].iterators, reads, writes, f"{blocks[-1].name}_merged", tir.SeqStmt(statements), None, local
    )


def _with_variables(value: tir.PrimExpr, values: Sequence[tuple[tir.Buffer, tir.Buffer]]) -> tir.PrimExpr:
    def replace(load: tir.BufferLoad) -> tir.PrimExpr | None:
        for buffer, variable in values:
            if load.buffer.same_as(buffer):
                return tir.BufferLoad(variable, [tir.IntImm("int64", 0)])
        return None

    return tir.stmt_functor.ir_transform(tir.Evaluate(value), None, replace, ["tir.BufferLoad"]).value


def _renamed_region(region: tir.BufferRegion, names: dict[tir.Var, tir.PrimExpr]) -> tir.BufferRegion:
    ranges = [  # an extent depends on iterators where a block reads one buffer in two places
        tvm.ir.Range.from_min_extent(*(tir.stmt_functor.substitute(part, names) for part in (r.min, r.extent)))
        for r in region.region
    ]
    return tir.BufferRegion(region.buffer, ranges)


def _loops(block: tir.Block) -> tir.Stmt:
    """A block in loops over its domain."""
    loops = [tir.Var(f"i{axis}", iterator.var.dtype) for axis, iterator in enumerate(block.iter_vars)]
    statement: tir.Stmt = tir.BlockRealize(loops, True, block)
    for loop, iterator in reversed(list(zip(loops, block.iter_vars, strict=True))):
        statement = tir.For(loop, iterator.dom.min, iterator.dom.extent, tir.ForKind.SERIAL, statement)
    return statement


def _holds(buffers: Iterable[tir.Buffer], buffer: tir.Buffer) -> bool:
    return any(one.same_as(buffer) for one in buffers)
