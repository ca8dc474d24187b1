"""Matmuls, convolutions, pooling: an output tile in registers, its contiguous axis in vectors, reduction inside."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tvm import tir
from tvm.tir.schedule import BlockRV, LoopRV, Schedule

from relay_passes.schedules.blocks import Block, block_of, split_points, step_along, step_within
from relay_passes.schedules.threads import in_parallel
from relay_passes.schedules.tiling import Machine, Tiling, register_tiles, vector_length
from tvm_go.steps import MULTIPLY_ADD

_SHORT = 4  # a reduction loop of so few iterations is written out


@dataclass(frozen=True)
class Shape:
    """The axes of a contraction, by what they are for.

    Attributes
    ----------
    lanes : int
        Length of the vectors.
    column_axis : int or None
        Another spatial axis of which the row operand is independent, whose steps give more vectors.
    columns : int
        Vectors side by side: along the vector axis, or along ``column_axis``.
    rows : tuple of int
        Positions of the axes that may be tiled as rows, innermost first.
    fused : bool
        Whether the two innermost row axes are one in memory, and are fused.
    reused : bool
        Whether one scalar of the row operand serves all vectors.
    """

    vector_axis: int
    lanes: int
    column_axis: int | None
    columns: int
    rows: tuple[int, ...]
    fused: bool
    reused: bool

    def row_extents(self, block: Block) -> tuple[int, ...]:
        extents = [block.spatial[axis] for axis in self.rows]
        if self.fused:
            extents[:2] = [extents[0] * extents[1]]
        return tuple(extents)


def shape_of(block: Block, machine: Machine) -> Shape | None:
    """How to tile a reduction that reads contiguous or constant values along its last axis; None for any other."""
    if not block.is_reduction or not block.stores_in_place() or not block.loads:
        return None
    spatial = block.spatial_vars
    wide = [axis for axis, extent in enumerate(block.spatial) if extent > 1]
    if not wide:
        return None
    last = wide[-1]
    extent = block.spatial[last]
    packed = split_points(block, spatial[last])
    lanes = vector_length(math.gcd(extent, packed) if packed > 1 else extent, machine)
    along = [step_within(load, spatial[last], lanes) for load in block.loads]
    if any(step not in (0, 1) for step in along) or 1 not in along:
        return None
    if lanes < min(4, machine.lanes):
        return None
    scalars = [load for load, step in zip(block.loads, along, strict=True) if step == 0]
    others = [axis for axis in wide if axis != last]
    free = [axis for axis in others if all(step_along(load, spatial[axis]) == 0 for load in scalars)] if scalars else []
    columns, column_axis = extent // lanes, None
    if columns == 1 and free:
        column_axis = free[-1]
        columns = block.spatial[column_axis]
    rows = tuple(reversed([axis for axis in others if axis not in free]))
    return Shape(last, lanes, column_axis, columns, rows[:2], _one_in_memory(block, rows[:2]), bool(scalars))


def _one_in_memory(block: Block, rows: tuple[int, ...]) -> bool:
    if len(rows) < 2 or rows[0] != rows[1] + 1:
        return False
    inner, outer = block.spatial_vars[rows[0]], block.spatial_vars[rows[1]]
    for load in block.loads:
        small, large = step_along(load, inner), step_along(load, outer)
        if small is None or large is None or large != small * block.spatial[rows[0]]:
            return False
    return True


def contraction_tilings(block: Block, shape: Shape, machine: Machine) -> list[Tiling]:
    """Tilings worth trying, the best by the model first."""
    extents = shape.row_extents(block)
    outer = math.prod(block.spatial) // (shape.lanes * shape.columns * math.prod(extents))
    width = block.spatial[shape.rows[0]] if shape.fused else None
    tiles = register_tiles(
        shape.columns,
        extents,
        machine,
        reused=shape.reused,
        outer=outer,
        fused_width=width,
        is_map=shape.column_axis is not None,
    )
    return [Tiling(columns, rows) for _, columns, rows in tiles]


def schedule_contraction(
    sch: Schedule, anchor: BlockRV, final: BlockRV | None, shape: Shape, tiling: Tiling, machine: Machine
) -> None:
    """Tile the final block (the anchor itself if None) and compute the anchor inside."""
    block = block_of(sch, anchor)
    tiled = final or anchor
    all_loops = list(sch.get_loops(tiled))
    reductions = all_loops[len(block.spatial) :] if final is None else []
    loops = _loops_of_axes(block, all_loops, block_of(sch, tiled))
    rows = [loops[axis] for axis in shape.rows]
    tiled_axes = {shape.vector_axis, *shape.rows}
    inner = {id(loops[axis]) for axis in tiled_axes}
    outer = [loop for loop in all_loops if id(loop) not in inner and loop not in reductions]
    if shape.fused:
        rows[:2] = [sch.fuse(rows[1], rows[0])]
    row_outer: list[LoopRV] = []
    row_inner: list[LoopRV] = []
    for loop, length in zip(rows, tiling.rows, strict=True):
        above, below = sch.split(loop, [None, length])
        row_outer.insert(0, above)
        row_inner.insert(0, below)
    if machine.is_device and shape.fused and block.spatial[shape.rows[0]] > tiling.rows[0]:
        # groups of threads end with the lines of a map
        row_outer[-1:] = sch.split(row_outer[-1], [None, block.spatial[shape.rows[0]] // tiling.rows[0]])
    vector = loops[shape.vector_axis]
    if shape.column_axis is None:
        column_outer, column, lane = sch.split(vector, [None, tiling.vectors, shape.lanes])
    else:
        column_loop = loops[shape.column_axis]
        outer.remove(column_loop)
        column_outer, column = sch.split(column_loop, [None, tiling.vectors])
        lane = vector
    chunks = [*outer, column_outer, *row_outer] if tiling.columns_first else [*outer, *row_outer, column_outer]
    sch.reorder(*chunks, *reductions, *row_inner, column, lane)
    parallel = in_parallel(sch, chunks, machine, MULTIPLY_ADD * block.work)
    if final is not None:
        sch.compute_at(anchor, parallel, preserve_unit_loops=True)
        _write_out(sch, final, machine.outer_loops)
    _schedule_inside(sch, anchor, block, shape, tiling, machine.outer_loops, own=final is None)


def _loops_of_axes(block: Block, loops: list[LoopRV], tiled: Block) -> dict[int, LoopRV]:
    """The loop of the tiled block for each axis of the anchor that is longer than 1: they come in the same order."""
    long_axes = [axis for axis, extent in enumerate(block.spatial) if extent > 1]
    long_loops = [loop for loop, extent in zip(loops, tiled.spatial, strict=False) if extent > 1]
    return dict(zip(long_axes, long_loops, strict=True))


def _schedule_inside(
    sch: Schedule, anchor: BlockRV, block: Block, shape: Shape, tiling: Tiling, outer: int, *, own: bool
) -> None:
    """The anchor below the ``outer`` parallel loops: reductions outside, the register tile written out inside."""
    loops = list(sch.get_loops(anchor))[outer:]
    count = len(block.reduction)
    if own:  # parallel, reductions..., rows..., column, lane
        reductions, inner = loops[:count], loops[count:]
    else:  # parallel, one loop per spatial axis, reductions...
        spatial, reductions = loops[: len(block.spatial)], loops[len(block.spatial) :]
        vector = spatial[shape.vector_axis]
        if shape.column_axis is None:
            column, lane = sch.split(vector, [None, shape.lanes])
        else:
            column, lane = spatial[shape.column_axis], vector
        inner = [loop for loop in spatial if not loop.same_as(vector) and not loop.same_as(column)]
        inner += [column, lane]
    ordered: list[LoopRV] = []
    innermost: list[LoopRV] = []
    for loop, var in zip(reductions, block.reduction_vars, strict=True):
        point = split_points(block, var)
        extent = int(sch.get(loop).extent)
        if 1 < point < extent:
            above, below = sch.split(loop, [None, point])
            ordered.append(above)
            innermost.append(below)
        elif point == extent > 1:
            innermost.append(loop)
        else:
            ordered.append(loop)
    if not innermost and len(ordered) == 1:
        innermost.append(ordered.pop())
    unrolled = []
    extent = int(sch.get(innermost[-1]).extent) if innermost else 1
    if extent <= _SHORT:
        unrolled = innermost[-1:]
    elif tiling.unroll > 1 and extent % tiling.unroll == 0:
        above, below = sch.split(innermost.pop(), [None, tiling.unroll])
        innermost += [above, below]
        unrolled = [below]
    order = [*ordered, *innermost]
    sch.reorder(*order, *inner)
    for loop in unrolled:
        sch.unroll(loop)
    _write_out(sch, anchor, outer + len(order), inner=len(inner))
    init = sch.decompose_reduction(anchor, order[0])
    _write_out(sch, init, outer)


def _write_out(sch: Schedule, block: BlockRV, first: int, inner: int | None = None) -> None:
    """Unroll the loops of a block from a position on, and vectorise the last."""
    loops = list(sch.get_loops(block))
    loops = loops[first:] if inner is None else loops[len(loops) - inner :]
    for loop in loops[:-1]:
        sch.unroll(loop)
    sch.vectorize(loops[-1])


def is_elementwise_on(block: Block, producer: tir.Buffer) -> bool:
    """Whether a block reads a buffer only at the very element that it writes, axes of length 1 aside."""
    own = [load for load in block.loads if load.buffer.same_as(producer)]
    long_vars = [var for var, extent in zip(block.spatial_vars, block.spatial, strict=True) if extent > 1]
    sides = [int(extent) for extent in producer.shape]
    return (
        not block.is_reduction
        and block.stores_in_place()
        and bool(own)
        and [extent for extent in block.spatial if extent > 1] == [extent for extent in sides if extent > 1]
        and all(_indexes(load, long_vars, sides) for load in own)
    )


def _indexes(load: tir.BufferLoad, variables: list[tir.Var], sides: list[int]) -> bool:
    indices = [index for index, extent in zip(load.indices, sides, strict=True) if extent > 1]
    return all(index.same_as(var) for index, var in zip(indices, variables, strict=True))
