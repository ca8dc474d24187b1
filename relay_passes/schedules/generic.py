"""A TIR schedule for any kernel: inline, find the stages, give each the form that its reductions ask for."""

from __future__ import annotations

import math
from dataclasses import replace

import tvm
from tvm import tir
from tvm.tir.schedule import LoopRV, Schedule, ScheduleError

from relay_passes.schedules.blocks import Block, block_of, decides_by, leaf_blocks, step_along
from relay_passes.schedules.contraction import (
    Shape,
    contraction_tilings,
    is_elementwise_on,
    schedule_contraction,
    shape_of,
)
from relay_passes.schedules.inlining import inline_cheap, normalized
from relay_passes.schedules.operands import pad_odd_sides, repack_strided
from relay_passes.schedules.places import schedule_places
from relay_passes.schedules.rows import compute_by_rows, is_odd, partial_sums, split_reduction, vectorize_inside
from relay_passes.schedules.threads import finish_threads, in_parallel, private_result
from relay_passes.schedules.tiling import Machine, Tiling, vector_length
from tvm_go.steps import SCALAR

_FEWEST_LANES = 4  # shorter vectors are left to LLVM
_LONG = 64  # loops so long LLVM makes vectors of, and longer ones than those that divide them, if no function is called


class NotSchedulableError(Exception):
    """The generic schedule does not know what to do with a kernel."""


def generic_schedule(sch: Schedule, target: tvm.target.Target, tiling: Tiling | None = None) -> None:
    """Schedule a kernel in place.

    Parameters
    ----------
    sch : Schedule
        One function, ``main``: the kernel as :func:`normalized` gives it.
    target : tvm.target.Target
        A CPU, or a device with threads as OpenCL has them.
    tiling : Tiling, optional
        For the heaviest contraction; None takes the best by rule.

    Raises
    ------
    NotSchedulableError
        If some block is of a kind that this schedule does not know.
    """
    machine = Machine.of(target)
    if machine.is_device and _has_masks(sch):  # vectors of booleans in memory are 0 or 1, and OpenCL C chooses by signs
        machine = replace(machine, lanes=1)
    try:
        _prepare_operands(sch, machine)
        _schedule_stages(sch, machine, tiling)
        if machine.is_device:
            finish_threads(sch)
    except ScheduleError as error:
        raise NotSchedulableError(str(error).strip().splitlines()[-1]) from error


def tilings(func: tir.PrimFunc, target: tvm.target.Target) -> list[Tiling]:
    """Tilings of the heaviest contraction of a kernel that are worth trying, the best by rule first; may be empty."""
    machine = Machine.of(target)
    sch = Schedule(
        tvm.IRModule({"main": normalized(func).with_attr("global_symbol", "main")}), error_render_level="fast"
    )
    _prepare_operands(sch, machine)
    found = _heaviest(leaf_blocks(sch), machine)
    return contraction_tilings(*found, machine) if found else []


def _has_masks(sch: Schedule) -> bool:
    """Whether a kernel reads or returns booleans."""
    return any(buffer.dtype == "bool" for buffer in sch.mod["main"].buffer_map.values())


def _prepare_operands(sch: Schedule, machine: Machine) -> None:
    """What comes before any tile is chosen; tilings hold only for what this leaves."""
    pad_odd_sides(sch, machine)
    inline_cheap(sch)
    repack_strided(sch, machine)


def _heaviest(blocks: list[Block], machine: Machine) -> tuple[Block, Shape] | None:
    shaped = [(block, shape_of(block, machine)) for block in blocks]
    known = [(block, shape) for block, shape in shaped if shape is not None]
    return max(known, key=lambda pair: pair[0].work, default=None)


def _schedule_stages(sch: Schedule, machine: Machine, tiling: Tiling | None) -> None:
    blocks = leaf_blocks(sch)
    heaviest = _heaviest(blocks, machine)
    done: set[str] = set()
    for block in blocks:
        shape = shape_of(block, machine)
        if shape is None:
            continue
        own = tiling if tiling is not None and heaviest is not None and block.name == heaviest[0].name else None
        own = own or contraction_tilings(block, shape, machine)[0]
        final = _epilogue(sch, block, done)
        handle = sch.get_block(block.name)
        if final is None and machine.is_device:
            final = str(sch.get(private_result(sch, handle)).name_hint)
        schedule_contraction(sch, handle, sch.get_block(final) if final else None, shape, own, machine)
        done |= {block.name} | ({final} if final else set())
    for block in reversed(blocks):
        if block.name not in done:
            done |= schedule_places(sch, machine, block.name, done)
    _schedule_rows(sch, machine, [block.name for block in blocks if block.name not in done])


def _epilogue(sch: Schedule, block: Block, done: set[str]) -> str | None:
    """The one block that consumes a contraction, if it does so element by element and nothing else wants the result."""
    if any(block.output.same_as(buffer) for buffer in sch.mod["main"].buffer_map.values()):
        return None  # TVM does not compute an output of the kernel below another block's loops
    consumers = sch.get_consumers(sch.get_block(block.name))
    if len(consumers) != 1:
        return None
    consumer = block_of(sch, consumers[0])
    if not is_elementwise_on(consumer, block.output) or consumer.name in done:
        return None
    return consumer.name


def _schedule_rows(sch: Schedule, machine: Machine, names: list[str]) -> None:
    """What is left: reductions along rows with what feeds on them, then plain loops."""
    pending = list(names)
    while pending:
        final = pending[-1]
        feeders = _feeders(sch, final, set(pending[:-1]))
        if any(block_of(sch, sch.get_block(name)).is_reduction for name in [*feeders, final]):
            pending = _rows_group(sch, machine, final, feeders, pending)
        else:
            _plain_loops(sch, machine, final)
            pending.pop()


def _feeders(sch: Schedule, final: str, among: set[str]) -> list[str]:
    """Blocks among some that a block depends on, in order."""
    found: set[str] = set()
    work = [final]
    while work:
        for producer in sch.get_producers(sch.get_block(work.pop())):
            name = str(sch.get(producer).name_hint)
            if name in among and name not in found:
                found.add(name)
                work.append(name)
    return [block.name for block in leaf_blocks(sch) if block.name in found]


def _rows_group(sch: Schedule, machine: Machine, final: str, feeders: list[str], pending: list[str]) -> list[str]:
    if any(is_odd(sch, name, machine) for name in [*feeders, final]):
        for name in [*feeders, final]:
            _stage_alone(sch, machine, name)
        return [name for name in pending if name != final and name not in feeders]
    group: list[str] = []
    partial: set[str] = set()
    for name in [*feeders, final]:
        block = block_of(sch, sch.get_block(name))
        parts = split_reduction(sch, name, machine) if block.is_reduction else [name]
        partial |= set(parts[:-1])
        group += parts
    group.pop()
    row = compute_by_rows(sch, final, group, machine) if group else None
    if row is None:
        for name in [*group, final]:
            if name in partial:
                partial_sums(sch, name, machine)
            else:
                _plain_loops(sch, machine, name)
    else:
        for name in [*group, final]:
            vectorize_inside(sch, name, machine, machine.outer_loops)
    return [name for name in pending if name != final and name not in feeders]


def _stage_alone(sch: Schedule, machine: Machine, name: str) -> None:
    """A block in loops of its own; a reduction as vectors of partial results first."""
    block = block_of(sch, sch.get_block(name))
    parts = split_reduction(sch, name, machine) if block.is_reduction else [name]
    for part in parts[:-1]:
        partial_sums(sch, part, machine)
    _plain_loops(sch, machine, parts[-1])


def _plain_loops(sch: Schedule, machine: Machine, name: str) -> None:
    """Parallel over the outer part of the output, vectors along its contiguous axis."""
    handle = sch.get_block(name)
    block = block_of(sch, handle)
    loops = list(sch.get_loops(handle))[: len(block.spatial)]
    if not loops:
        return
    if block.is_reduction:
        in_parallel(sch, loops, machine, block.steps)
        return
    first = _first_vector_axis(block, machine)
    kept = _first_inner_axis(block, machine) if first is None else first
    inner = sch.fuse(*loops[kept:]) if len(loops) > kept + 1 else loops[kept]
    lanes = vector_length(int(sch.get(inner).extent), machine)
    if first is None and kept:
        _along_rows(sch, machine, block, loops[:kept], inner)
    elif lanes == block.work:
        sch.vectorize(inner)
    else:
        outer, lane = sch.split(inner, [None, lanes])
        in_parallel(sch, [*loops[:kept], outer], machine, block.steps)
        sch.vectorize(lane)


def _along_rows(sch: Schedule, machine: Machine, block: Block, rows: list[LoopRV], inner: LoopRV) -> None:
    """Parallel over rows; vectors within them where reads are contiguous: explicit ones, or LLVM's."""
    extent = int(sch.get(inner).extent)
    lanes = vector_length(extent, machine)
    last = max(axis for axis, extent in enumerate(block.spatial) if extent > 1)
    is_contiguous = all(step_along(load, block.spatial_vars[last]) in (0, 1) for load in block.loads)
    by_llvm = extent >= _LONG and 2 * lanes < machine.lanes and not block.calls_libm
    is_explicit = lanes >= _FEWEST_LANES and not by_llvm
    has_vectors = is_contiguous and (is_explicit or by_llvm)
    in_parallel(sch, rows, machine, block.steps * (1 if has_vectors else SCALAR))
    if has_vectors and is_explicit:
        sch.vectorize(inner if lanes == extent else sch.split(inner, [None, lanes])[1])


def _first_vector_axis(block: Block, machine: Machine) -> int | None:
    """From which axis on those of a flat block become one of vectors; None if the block is not flat, or has no vectors.

    Two axes may always become one. Among more, TVM computes a place for each lane if vectors cross from row to row.
    """
    if not _is_flat(block):
        return None
    wide = [axis for axis, extent in enumerate(block.spatial) if extent > 1]
    if len(wide) < 3 or block.spatial[wide[-1]] % machine.lanes == 0:
        return 0
    lanes = {axis: vector_length(math.prod(block.spatial[axis:]), machine) for axis in (wide[-1], wide[-2])}
    best = max(lanes, key=lambda axis: lanes[axis])
    return best if 2 * lanes[best] >= machine.lanes else None


def _first_inner_axis(block: Block, machine: Machine) -> int:
    """From which axis on the loops become one: the last long axis, or where that has no whole vectors, one before it.

    Axes are taken together that are one in memory wherever the block reads, or along which a read stands still, and on
    which no condition depends, while the others leave work for all cores.
    """
    wide = [axis for axis, extent in enumerate(block.spatial) if extent > 1]
    last = wide.pop() if wide else 0
    first, length = last, block.spatial[last] if block.spatial else 1

    def are_one(inner: int, outer: int) -> bool:
        steps = [[step_along(load, block.spatial_vars[axis]) for axis in (inner, outer)] for load in block.loads]
        variables = block.spatial_vars[inner], block.spatial_vars[outer]
        return all(each in ([1, length], [0, 0]) for each in steps) and not decides_by(block, *variables)

    while (
        wide
        and length % machine.lanes
        and math.prod(block.spatial[: wide[-1]]) >= max(machine.cores, 2)
        and are_one(last, wide[-1])
    ):
        first = wide.pop()
        length *= block.spatial[first]
    return first if length >= _LONG or length % _FEWEST_LANES == 0 else last


def _is_flat(block: Block) -> bool:
    """Whether each read moves through memory as the output does, or stands still, so that all loops may become one."""
    strides = [1]
    for extent in reversed(block.spatial[1:]):
        strides.insert(0, strides[0] * extent)
    wide = [axis for axis, extent in enumerate(block.spatial) if extent > 1]
    moved, still = [strides[axis] for axis in wide], [0] * len(wide)
    return all(
        [step_along(load, block.spatial_vars[axis]) for axis in wide] in (moved, still) for load in block.loads
    ) and not decides_by(block, *block.spatial_vars)
