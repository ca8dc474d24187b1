"""Blocks that compute another expression at each place of a tile, as Winograd's transforms do.

The loops over places are written out: what is computed at each is then known to the compiler, and what the places of a
tile share is computed once, in registers.
"""

from __future__ import annotations

from tvm import tir
from tvm.tir.schedule import LoopRV, Schedule

from relay_passes.schedules.blocks import Block, block_of, conditions, decides_by, step_along
from relay_passes.schedules.threads import in_parallel
from relay_passes.schedules.tiling import Machine, vector_length


def places(block: Block) -> dict[int, int]:
    """By axis, the length of the tiles along it by whose places a block chooses what to compute; empty for most."""
    found: dict[int, int] = {}
    for condition in conditions(block):
        if isinstance(condition, tir.EQ) and isinstance(condition.b, tir.IntImm):
            place = _place(block, condition.a)
            if place is not None:
                found[place[0]] = place[1]
    return found


def schedule_places(sch: Schedule, machine: Machine, name: str, done: set[str]) -> set[str]:
    """Schedule a block that chooses by places, and what only it reads below its loops.

    Parallel over lines of tiles; what is read of the edges of an image is padded line by line.

    Parameters
    ----------
    name : str
        The block.
    done : set of str
        Blocks that are scheduled already, and stay as they are.

    Returns
    -------
    set of str
        The blocks that are scheduled now; empty if this one is not of this sort, and then nothing has changed.
    """
    block = block_of(sch, sch.get_block(name))
    own = places(block)
    if not own or block.is_reduction or not block.stores_in_place() or not _has_lanes(block):
        return set()
    transforms = [one for one in _only_read_by(sch, name, done) if places(one)]
    before = {axis: length for one in transforms for axis, length in _places_through(block, one).items()}
    padded = [one for transform in transforms for one in _only_read_by(sch, transform.name, done)]
    if len(block.spatial) - 1 in own | before or own.keys() & before.keys() or bool(transforms) != bool(before):
        return set()
    outer, inner = _split_places(sch, block, before, own)
    steps = sum(one.steps for one in (block, *transforms, *padded))
    parallel = in_parallel(sch, outer[:-1] or outer, machine, steps)
    for transform in transforms:
        at = inner[len(before) - 1]
        sch.compute_at(sch.get_block(transform.name), at)
        _write_out(sch, transform.name, _depth(sch, name, at), machine)
    for source in padded:
        sch.compute_at(sch.get_block(source.name), parallel)
        if _has_lanes(source):
            _vectorize_last(sch, source.name, machine)
    _write_out(sch, name, _depth(sch, name, inner[0]) - 1, machine)
    return {name, *(one.name for one in (*transforms, *padded))}


def _place(block: Block, index: tir.PrimExpr) -> tuple[int, int] | None:
    """The axis and the length of the tiles if an expression is a place in them; None for any other."""
    length = None
    if isinstance(index, tir.FloorMod) and isinstance(index.b, tir.IntImm):
        index, length = index.a, int(index.b)
    for axis, variable in enumerate(block.spatial_vars):
        if index.same_as(variable):
            return axis, length or block.spatial[axis]
    return None


def _places_through(block: Block, transform: Block) -> dict[int, int]:
    """The axes of a block, and the tiles along them, that decide at which places it reads a transform."""
    loads = [load for load in block.loads if load.buffer.same_as(transform.output)]
    found = [_place(block, load.indices[axis]) for load in loads for axis in places(transform)]
    return dict(place for place in found if place is not None)


def _only_read_by(sch: Schedule, name: str, done: set[str]) -> list[Block]:
    """Blocks that a block reads, which nothing else reads."""
    outputs = list(sch.mod["main"].buffer_map.values())
    found = []
    for handle in sch.get_producers(sch.get_block(name)):
        block = block_of(sch, handle)
        is_output = any(block.output.same_as(buffer) for buffer in outputs)
        if not block.is_reduction and block.name not in done and not is_output and len(sch.get_consumers(handle)) == 1:
            found.append(block)
    return found


def _has_lanes(block: Block) -> bool:
    """Whether the last axis may become vectors: all reads are contiguous along it or stand still, in all conditions."""
    last = block.spatial_vars[-1]
    return all(step_along(load, last) in (0, 1) for load in block.loads) and not decides_by(block, last)


def _split_places(
    sch: Schedule, block: Block, before: dict[int, int], own: dict[int, int]
) -> tuple[list[LoopRV], list[LoopRV]]:
    """Order a block's loops: over tiles; over places, first those on which what it reads depends; the last axis."""
    *loops, lane = sch.get_loops(sch.get_block(block.name))
    outer: list[LoopRV] = []
    inner: dict[int, LoopRV] = {}
    for axis, loop in enumerate(loops):
        length = (before | own).get(axis)
        if length is None:
            outer.append(loop)
        elif length < block.spatial[axis]:
            tiles, inner[axis] = sch.split(loop, [None, length])
            outer.append(tiles)
        else:
            inner[axis] = loop
    ordered = [inner[axis] for axis in (*before, *own)]
    sch.reorder(*outer, *ordered, lane)
    return outer, ordered


def _depth(sch: Schedule, name: str, loop: LoopRV) -> int:
    """How many loops of a block there are down to one of them."""
    target = sch.get(loop)
    return 1 + next(i for i, one in enumerate(sch.get_loops(sch.get_block(name))) if sch.get(one).same_as(target))


def _write_out(sch: Schedule, name: str, first: int, machine: Machine) -> None:
    """Unroll the loops of a block from a position on, and vectorise the last."""
    for loop in list(sch.get_loops(sch.get_block(name)))[first:-1]:
        sch.unroll(loop)
    _vectorize_last(sch, name, machine)


def _vectorize_last(sch: Schedule, name: str, machine: Machine) -> None:
    loop = list(sch.get_loops(sch.get_block(name)))[-1]
    extent = int(sch.get(loop).extent)
    lanes = vector_length(extent, machine)
    if lanes < extent:
        above, loop = sch.split(loop, [None, lanes])
        sch.unroll(above)
    if lanes > 1:
        sch.vectorize(loop)
