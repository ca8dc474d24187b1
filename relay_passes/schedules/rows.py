"""Row by row: several reductions and what depends on them, computed together for each row of the output."""

from __future__ import annotations

import math

from tvm import tir
from tvm.tir.schedule import BlockRV, LoopRV, Schedule, ScheduleError

from relay_passes.schedules.blocks import block_of, step_along, uses
from relay_passes.schedules.threads import in_parallel
from relay_passes.schedules.tiling import Machine, vector_length

_SHORTEST_VECTOR = 4


def is_odd(sch: Schedule, name: str, machine: Machine) -> bool:
    """Whether a reduction is so long that it wants vectors, and no vector divides it.

    Split, its block has a predicate, and TVM loses that when it moves the block below other loops: it must stay.
    """
    block = block_of(sch, sch.get_block(name))
    extent = block.reduction[-1] if block.is_reduction else 0
    return extent >= 2 * machine.lanes and vector_length(extent, machine) < _SHORTEST_VECTOR


def split_reduction(sch: Schedule, name: str, machine: Machine) -> list[str]:
    """Make a reduction along contiguous memory one over vectors, and a short one over what remains.

    Returns
    -------
    list of str
        The names of the resulting blocks, in order; only the given one if it cannot be split.
    """
    handle = sch.get_block(name)
    block = block_of(sch, handle)
    if not block.spatial or len(block.statement.writes) > 1:  # TVM's rfactor fails on some, and on argmax
        return [name]
    last = block.reduction_vars[-1]
    if any(step_along(load, last) not in (0, 1) for load in block.loads):
        return [name]
    extent = block.reduction[-1]
    lanes = machine.lanes if is_odd(sch, name, machine) else vector_length(extent, machine)
    if lanes < _SHORTEST_VECTOR or extent == lanes:
        return [name]
    loop = sch.get_loops(handle)[-1]
    _, inner = sch.split(loop, [None, lanes])
    partial = sch.rfactor(inner, factor_axis=len(block.spatial))
    return [str(sch.get(partial).name_hint), name]


def partial_sums(sch: Schedule, name: str, machine: Machine) -> None:
    """The vectors of partial results that :func:`split_reduction` makes: parallel over rows."""
    handle = sch.get_block(name)
    block = block_of(sch, handle)
    count = len(block.spatial) - 1
    *loops, lane = sch.get_loops(handle)  # rows..., steps..., lanes
    in_parallel(sch, loops[:count], machine, block.steps)
    sch.vectorize(lane)
    init = sch.decompose_reduction(handle, loops[count])
    sch.vectorize(list(sch.get_loops(init))[-1])


def compute_by_rows(sch: Schedule, final: str, inner: list[str], machine: Machine) -> LoopRV | None:
    """Move blocks below the loop over rows of the final one, for the longest rows for which no work is repeated.

    Parameters
    ----------
    final : str
        A block that the others feed.
    inner : list of str
        The others, in order.

    Returns
    -------
    LoopRV or None
        The loop over rows, which run side by side; None if there is none under which all fit, and then nothing has
        changed.
    """
    work = [_work(sch, name) for name in inner]
    steps = sum(block_of(sch, sch.get_block(name)).steps for name in [*inner, final])
    for depth in range(len(block_of(sch, sch.get_block(final)).spatial) - 1, 0, -1):
        trial = sch.copy()
        loops = list(trial.get_loops(trial.get_block(final)))
        row = trial.fuse(*loops[:depth]) if depth > 1 else loops[0]
        try:
            for name in reversed(inner):
                trial.compute_at(trial.get_block(name), row)
        except ScheduleError:
            continue
        if all(_work(trial, name) <= before for name, before in zip(inner, work, strict=True)):
            loops = list(sch.get_loops(sch.get_block(final)))
            row = in_parallel(sch, loops[:depth], machine, steps)
            for name in reversed(inner):
                sch.compute_at(sch.get_block(name), row)
            return row
    return None


def vectorize_inside(sch: Schedule, name: str, machine: Machine, first: int) -> None:
    """Vectorise a block along its last spatial axis, where its reads allow, below the loops in front of ``first``."""
    handle = sch.get_block(name)
    loops = list(sch.get_loops(handle))[first:]
    kinds = [_iterator_kind(sch, handle, loop) for loop in loops]
    spatial = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == "spatial"]
    reductions = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == "reduction"]
    if not spatial or "mixed" in kinds:
        return
    if not reductions and len(spatial) > 1:
        spatial = [sch.fuse(*spatial)]
    extent = int(sch.get(spatial[-1]).extent)
    lanes = vector_length(extent, machine)
    if lanes < 2:
        return
    if lanes < extent:
        above, lane = sch.split(spatial[-1], [None, lanes])
        spatial[-1:] = [above]
    else:
        lane = spatial.pop()
    if reductions:
        sch.reorder(*spatial, *reductions, lane)
    sch.vectorize(lane)
    if reductions:
        init = sch.decompose_reduction(handle, reductions[0])
        sch.vectorize(list(sch.get_loops(init))[-1])


def _work(sch: Schedule, name: str) -> int:
    return math.prod(int(sch.get(loop).extent) for loop in sch.get_loops(sch.get_block(name)))


def _iterator_kind(sch: Schedule, block: BlockRV, loop: LoopRV) -> str:
    """Whether a loop runs over spatial or reduction iterators of a block."""
    variable = sch.get(loop).loop_var
    realize = _realize_of(sch, block)
    kinds = set()
    for iterator, value in zip(realize.block.iter_vars, realize.iter_values, strict=True):
        if uses(value, variable):
            kinds.add(iterator.iter_type)
    if not kinds or kinds == {tir.IterVar.DataPar}:
        return "spatial"
    return "reduction" if kinds == {tir.IterVar.CommReduce} else "mixed"


def _realize_of(sch: Schedule, block: BlockRV) -> tir.BlockRealize:
    statement = sch.get(block)
    found: list[tir.BlockRealize] = []

    def visit(node: object) -> None:
        if isinstance(node, tir.BlockRealize) and node.block.same_as(statement):
            found.append(node)

    tir.stmt_functor.post_order_visit(sch.mod["main"].body, visit)
    return found[0]
