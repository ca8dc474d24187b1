"""The one description behind all families: a cell of ops, repeated over layers and steps.

A cell is a tuple of ops that name what they read. `Stack.add` repeats it as numpy offsets, so a million ops take as
long to write down as a cell. Cells are numbered layer by layer and, within a layer, step by step, which is a
topological order as long as cells only look back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tvm_go.graph import Int64
from tvm_go.simulate.sized_graph import SizedGraph
from tvm_go.simulate.workload import Floats


@dataclass(frozen=True)
class Back:
    """The op of this name, so many layers down and so many steps ago."""

    name: str
    layers: int = 0
    steps: int = 0


@dataclass(frozen=True)
class CellOp:
    """One op of a cell.

    Attributes
    ----------
    reads : tuple of str or Back
        An earlier op of the same cell, else what `Stack.add` is given under that name; or an op of an earlier cell.
    weight_bytes : float
        Weights that the op shares with the same op of all steps of its layer.
    reads_weights : float
        The part of the weights that one execution touches: a look-up reads few rows.
    """

    name: str
    op_type: str
    reads: tuple[str | Back, ...]
    output_bytes: float
    flops: float = 0.0
    weight_bytes: float = 0.0
    reads_weights: float = 1.0


Cell = tuple[CellOp, ...]


class Stack:
    """A graph in the making."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._num_ops = 0
        self._op_types: list[str] = []
        self._columns: list[Floats] = []  # per op of a block: type, FLOPs, output, weights read, weights kept, label
        self._edges: list[Int64] = [np.empty((0, 2), dtype=np.int64)]

    def add(
        self,
        cell: Cell,
        *,
        layers: int = 1,
        steps: int = 1,
        below: Mapping[str, Sequence[Int64]] | None = None,
        given: Mapping[str, Int64] | None = None,
    ) -> dict[str, Int64]:
        """Repeat a cell; returns the numbers of each of its ops: int64 [layers, steps].

        Parameters
        ----------
        below : mapping from op name to sequence of int64 [steps]
            What stands for the op in the first, second, ... layer under the stack; where nothing does, and before the
            first step, an op that looks back reads nothing.
        given : mapping from name to int64, broadcastable to [..., layers, steps]
            Ops of other stacks, by the name that the cell calls them.
        """
        below, given = below or {}, given or {}
        cells = np.arange(layers * steps).reshape(layers, steps) * len(cell) + self._num_ops
        numbers = {op.name: cells + place for place, op in enumerate(cell)}
        self._add_columns(cell, cells)
        for op in cell:
            for read in op.reads:
                if isinstance(read, Back):
                    source = _earlier(numbers[read.name], read, below.get(read.name, ()))
                else:
                    source = numbers[read] if read in numbers else given[read]
                pair = np.stack(np.broadcast_arrays(source, numbers[op.name]), axis=-1).reshape(-1, 2)
                self._edges.append(pair[pair[:, 0] >= 0])
        self._num_ops += cells.size * len(cell)
        return numbers

    def graph(self) -> SizedGraph:
        """What was put together."""
        columns = np.concatenate(self._columns)
        return SizedGraph(
            name=self._name,
            op_types=tuple(self._op_types),
            op_type=columns[:, 0].astype(np.int32),
            flops=columns[:, 1],
            output_bytes=columns[:, 2],
            weight_bytes=columns[:, 3],
            resident_bytes=columns[:, 4],
            edges=np.concatenate(self._edges),
            colocation=columns[:, 5].astype(np.int64),
        )

    def _add_columns(self, cell: Cell, cells: Int64) -> None:
        for op in cell:
            if op.op_type not in self._op_types:
                self._op_types.append(op.op_type)
        one = np.array(
            [
                (self._op_types.index(op.op_type), op.flops, op.output_bytes, op.weight_bytes * op.reads_weights, 0, -1)
                for op in cell
            ],
            dtype=np.float64,
        )
        block = np.broadcast_to(one, (*cells.shape, *one.shape)).copy()  # [layers, steps, ops, columns]
        for place, op in enumerate(cell):
            if op.weight_bytes:
                block[:, 0, place, 4] = op.weight_bytes
                block[:, :, place, 5] = cells[:, :1] + place
        self._columns.append(block.reshape(-1, one.shape[1]))


def _earlier(numbers: Int64, back: Back, below: Sequence[Int64]) -> Int64:
    """What each cell finds when it looks back: int64 [layers, steps]; -1 for nothing."""
    layers, steps = numbers.shape
    under = np.full((back.layers, steps), -1, dtype=np.int64)
    for depth, row in enumerate(below[: back.layers]):
        under[back.layers - 1 - depth] = row
    source = np.concatenate([under, numbers])[:layers]
    nothing = np.full((layers, min(back.steps, steps)), -1, dtype=np.int64)
    return np.concatenate([nothing, source[:, : steps - nothing.shape[1]]], axis=1)
