"""What a schedule must know of the blocks of a kernel: which reduce, what they read, how that is laid out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import tvm
from tvm import tir
from tvm.tir.schedule import BlockRV, Schedule

from tvm_go.steps import ACCESS, LIBM, POLYNOMIAL

_CHEAP_CALLS = {"if_then_else", "fabs", "floor", "likely", "reinterpret", "shift_left"}
_COSTLY_STEPS = 8  # arithmetic steps from which an element is better stored than computed again
_MANY_LOADS = 16  # so many parts to choose from would double with every use


@dataclass(frozen=True)
class Block:
    """One block of a kernel whose loops are still those of its computation.

    Attributes
    ----------
    name : str
        Unique within the kernel.
    spatial, reduction : tuple of int
        Extents of its iterators by kind, in order.
    loads : tuple of BufferLoad
        What its update reads, its own output left out.
    """

    name: str
    statement: tir.Block
    spatial: tuple[int, ...]
    reduction: tuple[int, ...]
    loads: tuple[tir.BufferLoad, ...]

    @property
    def is_reduction(self) -> bool:
        return bool(self.reduction)

    @property
    def output(self) -> tir.Buffer:
        return self.statement.writes[0].buffer

    @property
    def iterators(self) -> list[tir.IterVar]:
        return list(self.statement.iter_vars)

    @property
    def spatial_vars(self) -> list[tir.Var]:
        return [i.var for i in self.iterators if i.iter_type == tir.IterVar.DataPar]

    @property
    def reduction_vars(self) -> list[tir.Var]:
        return [i.var for i in self.iterators if i.iter_type == tir.IterVar.CommReduce]

    @property
    def work(self) -> int:
        """Points of its iteration space."""
        return math.prod(self.spatial) * math.prod(self.reduction)

    @property
    def steps(self) -> int:
        """What it takes, in the steps of `tvm_go.steps`."""
        steps, _ = self._arithmetic  # of a polynomial, shared parts several times
        return self.work * (ACCESS + min(steps, POLYNOMIAL) + LIBM * self.calls_libm)

    @property
    def calls_libm(self) -> bool:
        """Whether it calls a function, for each lane of a vector by itself."""
        return not self._arithmetic[1] <= _CHEAP_CALLS

    @property
    def is_costly(self) -> bool:
        """Whether computing an element twice is worse than storing it: a call of libm, or a polynomial in its place."""
        steps, _ = self._arithmetic
        return steps >= _COSTLY_STEPS or len(self.loads) > _MANY_LOADS or self.calls_libm

    @cached_property
    def _arithmetic(self) -> tuple[int, set[str]]:
        return _arithmetic(self.statement.body)

    def stores_in_place(self) -> bool:
        """Whether it writes element ``[i, j, ...]`` at iterators ``i, j, ...``, in this order."""
        body = self.statement.body
        if not isinstance(body, tir.BufferStore):
            return False
        return len(body.indices) == len(self.spatial) and all(
            index.same_as(var) for index, var in zip(body.indices, self.spatial_vars, strict=True)
        )


def block_of(schedule: Schedule, block: BlockRV) -> Block:
    """Read a block."""
    statement = schedule.get(block)
    kinds = [(int(i.dom.extent), i.iter_type) for i in statement.iter_vars]
    own = [*(region.buffer for region in statement.writes[:1]), *statement.alloc_buffers]
    body = statement.body
    loads = tuple(load for load in _loads(body) if not any(load.buffer.same_as(buffer) for buffer in own))
    return Block(
        name=str(statement.name_hint),
        statement=statement,
        spatial=tuple(extent for extent, kind in kinds if kind == tir.IterVar.DataPar),
        reduction=tuple(extent for extent, kind in kinds if kind == tir.IterVar.CommReduce),
        loads=loads,
    )


def leaf_blocks(schedule: Schedule) -> list[Block]:
    """All blocks below the root, in the order in which they stand."""
    found: list[tir.Block] = []
    root = schedule.get(schedule.get_block("root"))

    def visit(statement: object) -> None:
        if isinstance(statement, tir.BlockRealize):
            found.append(statement.block)

    tir.stmt_functor.post_order_visit(root.body, visit)
    return [block_of(schedule, schedule.get_block(block.name_hint)) for block in found]


def step_along(load: tir.BufferLoad, var: tir.Var) -> int | None:
    """Elements by which a read moves when an iterator advances by one; None where it is not the same everywhere."""
    sides = [int(extent) for extent in load.buffer.shape]  # none for a scalar
    strides = [math.prod(sides[axis + 1 :]) for axis in range(len(sides))]
    total = 0
    for index, stride in zip(load.indices, strides, strict=True):
        coefficients = tvm.arith.detect_linear_equation(index, [var])
        if not coefficients or not isinstance(coefficients[0], tir.IntImm):
            return None
        total += int(coefficients[0]) * stride
    return total


def step_within(load: tir.BufferLoad, var: tir.Var, length: int) -> int | None:
    """As :func:`step_along`, for steps inside aligned stretches of a length that divides all splits of the iterator."""

    def inside(node: tir.PrimExpr) -> tir.PrimExpr | None:
        if node.a.same_as(var) and isinstance(node.b, tir.IntImm) and int(node.b) % length == 0:
            return tir.IntImm(var.dtype, 0) if isinstance(node, tir.FloorDiv) else var
        return None

    def rewritten(index: tir.PrimExpr) -> tir.PrimExpr:
        evaluated = tir.stmt_functor.ir_transform(tir.Evaluate(index), None, inside, ["tir.FloorDiv", "tir.FloorMod"])
        return evaluated.value

    return step_along(tir.BufferLoad(load.buffer, [rewritten(index) for index in load.indices]), var)


def split_points(block: Block, var: tir.Var) -> int:
    """By what an iterator must be split so that its quotient and remainder become loops; 1 if nowhere."""
    found = [1]

    def visit(node: object) -> None:
        if isinstance(node, (tir.FloorDiv, tir.FloorMod)) and node.a.same_as(var) and isinstance(node.b, tir.IntImm):
            found.append(int(node.b))

    for load in block.loads:
        for index in load.indices:
            tir.stmt_functor.post_order_visit(index, visit)
    return max(found)


def conditions(block: Block) -> list[tir.PrimExpr]:
    """What decides within a block which of two values is taken."""
    found: list[tir.PrimExpr] = []

    def visit(node: object) -> None:
        if isinstance(node, tir.Select):
            found.append(node.condition)
        elif isinstance(node, tir.Call) and "if_then_else" in str(node.op):
            found.append(node.args[0])

    tir.stmt_functor.post_order_visit(block.statement.body, visit)
    return found


def decides_by(block: Block, *variables: tir.Var) -> bool:
    """Whether the place along some iterators decides which of two values is taken, whatever the values there are."""
    analyzer = tvm.arith.Analyzer()
    for iterator in block.iterators:
        analyzer.bind(iterator.var, iterator.dom)
    places = [analyzer.simplify(_of_places(condition)) for condition in conditions(block)]
    return any(uses(place, variable) for place in places for variable in variables)


def uses(value: tir.PrimExpr, variable: tir.Var) -> bool:
    """Whether an expression depends on a variable."""
    found: list[bool] = []
    tir.stmt_functor.post_order_visit(value, lambda node: found.append(True) if node.same_as(variable) else None)
    return bool(found)


def with_simple_indices(func: tir.PrimFunc) -> tir.PrimFunc:
    """The function with the indices of what its blocks read simplified, each over the domains of its iterators.

    Inlining leaves quotients and remainders that cancel; a schedule would take them for strides, and for regions that
    are larger than they are.
    """

    def simplify(block: tir.Block) -> tir.Block | None:
        if not block.iter_vars:
            return None
        analyzer = tvm.arith.Analyzer()
        for iterator in block.iter_vars:
            analyzer.bind(iterator.var, iterator.dom)

        own = [write.buffer for write in block.writes]

        def load(node: tir.BufferLoad) -> tir.BufferLoad | None:
            if any(node.buffer.same_as(buffer) for buffer in own):
                return None  # an update must read where it writes
            return tir.BufferLoad(node.buffer, [analyzer.simplify(index) for index in node.indices])

        def region(read: tir.BufferRegion) -> tir.BufferRegion:
            ranges = [tvm.ir.Range.from_min_extent(analyzer.simplify(r.min), r.extent) for r in read.region]
            return tir.BufferRegion(read.buffer, ranges)

        return tir.Block(
            block.iter_vars,
            [region(read) for read in block.reads],
            block.writes,
            block.name_hint,
            tir.stmt_functor.ir_transform(block.body, None, load, ["tir.BufferLoad"]),
            block.init,
            block.alloc_buffers,
            block.match_buffers,
            block.annotations,
        )

    return func.with_body(tir.stmt_functor.ir_transform(func.body, None, simplify, ["tir.Block"]))


def _of_places(condition: tir.PrimExpr) -> tir.PrimExpr:
    """A condition that does not tell where the values that it reads come from."""

    def value(load: tir.BufferLoad) -> tir.PrimExpr:
        return tir.Var("value", load.dtype)

    return tir.stmt_functor.ir_transform(tir.Evaluate(condition), value, None, ["tir.BufferLoad"]).value


def _loads(body: tir.Stmt) -> Iterator[tir.BufferLoad]:
    found: list[tir.BufferLoad] = []
    tir.stmt_functor.post_order_visit(
        body, lambda node: found.append(node) if isinstance(node, tir.BufferLoad) else None
    )
    yield from found


def _arithmetic(body: tir.Stmt) -> tuple[int, set[str]]:
    """Float operations in a block's body, and the names of the functions that it calls."""
    steps = 0
    calls: set[str] = set()

    def visit(node: object) -> None:
        nonlocal steps
        if isinstance(node, (tir.Add, tir.Sub, tir.Mul, tir.Div)) and node.dtype.startswith("float"):
            steps += 1
        elif isinstance(node, tir.Call) and isinstance(node.op, tvm.ir.Op):
            calls.add(node.op.name.split(".")[-1])

    tir.stmt_functor.post_order_visit(body, visit)
    return steps, calls
