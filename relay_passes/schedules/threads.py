"""From cores to the threads of a device: loops that ran on cores are bound, what lies between them becomes private.

A work item computes what a core computes in one step of its loop: a tile in registers, in explicit vectors. There are
no barriers and no memory that is shared within a group, which on many OpenCL devices is plain memory anyway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import tir
from tvm.tir.schedule import BlockRV, LoopRV, Schedule

from relay_passes.schedules.blocks import Block, leaf_blocks
from relay_passes.schedules.tiling import Machine, divisors
from tvm_go.steps import WORTH_THREADS

_MOST = 64  # work items of a group: every device that TVM knows takes so many
_GROUPS = 16  # at least so many groups, so that all of a device's units have work


def private_result(sch: Schedule, anchor: BlockRV) -> BlockRV:
    """Let a block compute into private memory; the block that copies the result to where it belongs."""
    return sch.cache_write(anchor, 0, "local")


def in_parallel(sch: Schedule, loops: Sequence[LoopRV], machine: Machine, steps: int) -> LoopRV:
    """Run the outermost loops side by side: on cores, or on threads in groups; the inner loop of these.

    As TVM's `parallel` and `bind`, it must come before reductions in the loops are decomposed.

    Parameters
    ----------
    steps : int
        Of all iterations, as `tvm_go.steps` counts: one core does a few before others have started.
    """
    if not machine.is_device:
        parallel = _fuse(sch, loops)
        if steps >= WORTH_THREADS:
            sch.parallel(parallel)
        return parallel
    whole, part = group_of([int(sch.get(loop).extent) for loop in loops])
    items = list(loops[len(loops) - whole :])
    groups = list(loops[: len(loops) - whole])
    if groups:
        outer, inner = sch.split(groups.pop(), [None, part])
        groups.append(outer)
        items.insert(0, inner)
    else:
        groups.append(sch.add_unit_loop(items[0]))
    group, item = _fuse(sch, groups), _fuse(sch, items)
    sch.bind(group, "blockIdx.x")
    sch.bind(item, "threadIdx.x")
    return item


def finish_threads(sch: Schedule) -> None:
    """What a device needs besides threads: private memory for what they keep, one thread for all that has none."""
    nests = _nests(sch)
    for nest in nests:
        first = sch.get_block(nest[0].name)
        loops = sch.get_loops(first)
        if not loops or sch.get(loops[0]).kind != tir.ForKind.THREAD_BINDING:  # a few elements, or one reduction
            sch.bind(sch.add_unit_loop(loops[0] if loops else first), "threadIdx.x")
        for block in nest:
            for number, region in enumerate(block.statement.writes):
                if _is_private(sch, region.buffer, nest, nests):
                    sch.set_scope(sch.get_block(block.name), number, "local")


def group_of(extents: Sequence[int]) -> tuple[int, int]:
    """What the work items of a group share: so many whole loops from the innermost on, and a part of the next.

    Groups end where loops do: TVM tells no region of memory by an index that wraps around within a group.
    """
    most = min(_MOST, max(1, math.prod(extents) // _GROUPS))
    whole, size = 0, 1
    while whole < len(extents) and size * extents[-1 - whole] <= most:
        size *= extents[-1 - whole]
        whole += 1
    return whole, max(divisors(extents[-1 - whole], most // size)) if whole < len(extents) else 1


def _fuse(sch: Schedule, loops: Sequence[LoopRV]) -> LoopRV:
    return sch.fuse(*loops) if len(loops) > 1 else loops[0]


def _nests(sch: Schedule) -> list[list[Block]]:
    """The blocks of each nest of loops below the root."""
    found: list[list[Block]] = []
    last: tir.For | None = None
    for block in leaf_blocks(sch):
        loops = sch.get_loops(sch.get_block(block.name))
        outermost = sch.get(loops[0]) if loops else None
        if last is None or outermost is None or not last.same_as(outermost):
            found.append([])
        last = outermost
        found[-1].append(block)
    return found


def _is_private(sch: Schedule, buffer: tir.Buffer, nest: list[Block], nests: list[list[Block]]) -> bool:
    """Whether nothing outside of a nest sees what is stored to a buffer in it."""
    if buffer.scope() != "global" or any(buffer.same_as(one) for one in sch.mod["main"].buffer_map.values()):
        return False
    others = (block.statement for other in nests if other is not nest for block in other)
    return not any(region.buffer.same_as(buffer) for one in others for region in (*one.reads, *one.writes))
