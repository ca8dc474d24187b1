"""Bring a kernel's computation into the form that schedules start from: vector math, blocks inlined or merged."""

from __future__ import annotations

import math

import tvm
from tvm import tir
from tvm.tir.schedule import Schedule, ScheduleError

from relay_passes.schedules.blocks import Block, block_of, conditions, leaf_blocks, with_simple_indices
from relay_passes.schedules.contraction import is_elementwise_on
from relay_passes.schedules.merging import merge_pointwise
from relay_passes.schedules.places import places
from relay_passes.schedules.vector_math import with_vector_math

REUSE = 8  # an input that is read more often than this is stored before, not computed at every use


def normalized(func: tir.PrimFunc) -> tir.PrimFunc:
    """A kernel's computation as all TIR lowerings start from it: vector math, few blocks, simple indices."""
    sch = Schedule(tvm.IRModule({"main": with_vector_math(func)}), error_render_level="fast")
    inline_cheap(sch)
    main = merge_pointwise(with_simple_indices(sch.mod["main"]))
    symbol = func.attrs.get("global_symbol") if func.attrs else None
    return main.with_attr("global_symbol", symbol) if symbol else main.without_attr("global_symbol")


def inline_cheap(sch: Schedule) -> None:
    """Inline what is cheap to compute again into what reads it."""
    for name in [block.name for block in leaf_blocks(sch)]:
        handle = sch.get_block(name)
        block = block_of(sch, handle)
        if block.is_reduction or not sch.get_consumers(handle):
            continue
        consumers = [block_of(sch, consumer) for consumer in sch.get_consumers(handle)]
        if all(_may_inline(block, consumer) for consumer in consumers):
            if block.is_costly and (len(consumers) > 1 or any(_reads(c, block) > 1 for c in consumers)):
                continue
            try:
                sch.compute_inline(handle)
            except ScheduleError:
                continue


def _may_inline(block: Block, consumer: Block) -> bool:
    if places(block) and not is_elementwise_on(consumer, block.output):
        return False
    if not consumer.is_reduction:
        return not (has_condition(block) and places(consumer))  # it would be decided anew at every place
    reuse = consumer.work / max(1, math.prod(block.spatial))
    return reuse <= 1 or (reuse <= REUSE and not block.is_costly and not has_condition(block))


def has_condition(block: Block) -> bool:
    return bool(conditions(block))


def _reads(consumer: Block, producer: Block) -> int:
    return sum(load.buffer.same_as(producer.output) for load in consumer.loads)
