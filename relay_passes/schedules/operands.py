"""Prepare the operands of contractions: round odd sides up, give what is strided a contiguous copy."""

from __future__ import annotations

import math

from tvm import tir
from tvm.tir.schedule import Schedule

from relay_passes.schedules.blocks import Block, block_of, leaf_blocks, step_along
from relay_passes.schedules.contraction import shape_of
from relay_passes.schedules.inlining import REUSE
from relay_passes.schedules.tiling import Machine, divisors

_LONG_PRIME = 32  # a longer side without divisors is worth padding


def pad_odd_sides(sch: Schedule, machine: Machine) -> None:
    """Round odd sides of large matrix products up to what vectors and register tiles divide."""
    for block in leaf_blocks(sch):
        if not block.is_reduction or len(block.spatial) < 2 or len(block.loads) != 2 or not _is_einsum(block):
            continue
        columns, rows = block.spatial[-1], block.spatial[-2]
        sizes = [math.prod(int(extent) for extent in load.buffer.shape) for load in block.loads]
        if block.work < 4 * REUSE * max(sizes):
            continue
        multiples = [1] * len(block.iterators)
        if columns > machine.lanes and columns % machine.lanes:
            multiples[len(block.spatial) - 1] = machine.lanes
        if rows > _LONG_PRIME and max(divisors(rows, 14)) < 5:
            multiples[len(block.spatial) - 2] = 8
        if max(multiples) > 1:
            sch.pad_einsum(sch.get_block(block.name), multiples)


def _is_einsum(block: Block) -> bool:
    """Whether it is a sum of products that reads at its iterators themselves, each spatial one before the others."""
    variables = block.spatial_vars + block.reduction_vars
    kinds = [i.iter_type for i in block.iterators]
    in_order = kinds == sorted(kinds, key=lambda kind: kind != tir.IterVar.DataPar)
    return (
        in_order
        and block.stores_in_place()
        and not block.loads[0].buffer.same_as(block.loads[1].buffer)
        and all(any(index.same_as(var) for var in variables) for load in block.loads for index in load.indices)
        and isinstance(block.statement.body.value, tir.Add)
        and isinstance(block.statement.body.value.b, tir.Mul)
    )


def repack_strided(sch: Schedule, machine: Machine) -> None:
    """Give an operand that is strided along the vectors a contiguous copy, where it is read often enough."""
    for block in leaf_blocks(sch):
        if not block.is_reduction or not block.stores_in_place() or shape_of(block, machine) is not None:
            continue
        wide = [axis for axis, extent in enumerate(block.spatial) if extent > 1]
        if not wide or block.spatial[wide[-1]] < machine.lanes or len(block.loads) != 2:
            continue
        vector = block.spatial_vars[wide[-1]]
        for load in block.loads:
            size = math.prod(int(extent) for extent in load.buffer.shape)
            if step_along(load, vector) not in (0, 1) and block.work >= REUSE * size:
                _transpose_operand(sch, block, load, vector)


def _transpose_operand(sch: Schedule, block: Block, load: tir.BufferLoad, vector: tir.Var) -> None:
    positions = [p for p, index in enumerate(load.indices) if index.same_as(vector)]
    if len(positions) != 1:
        return
    place = positions[0]
    rank = len(load.indices)
    order = [axis for axis in range(rank) if axis != place] + [place]
    handle = sch.get_block(block.name)
    index = next(i for i, region in enumerate(block.statement.reads) if region.buffer.same_as(load.buffer))
    producers = [p for p in sch.get_producers(handle) if sch.get(p).writes[0].buffer.same_as(load.buffer)]
    source = producers[0] if producers and len(sch.get_consumers(producers[0])) == 1 else None
    if source is not None and block_of(sch, source).is_reduction:
        source = None
    copy = source if source is not None else sch.cache_read(handle, index, "global")
    sch.transform_layout(copy, ("write", 0), lambda *i: [i[axis] for axis in order])
