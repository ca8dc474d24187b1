"""Register tiles: how many vectors and rows of an output one inner loop keeps in registers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import tvm
from tvm.target.x86 import get_simd_32bit_lanes

from relay_passes.export import architecture_of
from tvm_go.errors import UsageError

_LARGE_MAP = 28 * 28


@dataclass(frozen=True)
class Machine:
    """What a tile must fit.

    Attributes
    ----------
    lanes : int
        float32 values of a vector register.
    registers : int
        Vector registers.
    cores : int
        Threads that a kernel runs on.
    is_device : bool
        Whether its threads are those of an OpenCL device or a GPU, not a CPU's.
    """

    lanes: int
    registers: int
    cores: int
    is_device: bool = False

    @property
    def outer_loops(self) -> int:
        """Loops whose steps run side by side, around each nest: over groups and over threads, or over cores."""
        return 2 if self.is_device else 1

    @staticmethod
    def of(target: tvm.target.Target) -> Machine:
        """Read a target."""
        if target.kind.name != "llvm":
            is_gpu = target.kind.name != "opencl" or "device" in target.attrs
            return _GPU if is_gpu else _OPENCL
        architecture = architecture_of(target)
        lanes, registers = 4, 32 if architecture == "aarch64" else 16
        if architecture == "x86_64":
            with target:
                lanes = int(get_simd_32bit_lanes())
            registers = 32 if lanes == 16 else 16
        cores = int(target.attrs.get("num-cores", 0)) or 2
        return Machine(lanes, registers, cores)


#: An OpenCL device of which nothing is known may be a CPU: the longest vectors of OpenCL C, and many of them.
_OPENCL = Machine(lanes=16, registers=32, cores=8, is_device=True)
#: CUDA, Vulkan and Metal have no longer vectors, and a GPU's threads share its registers.
_GPU = Machine(lanes=4, registers=16, cores=8, is_device=True)


@dataclass(frozen=True)
class Tiling:
    """One choice among the schedules of a kernel's anchor.

    Attributes
    ----------
    vectors : int
        Vectors side by side along the output's contiguous axis.
    rows : tuple of int
        Length of the tile along each other axis that is tiled, innermost first.
    unroll : int
        Iterations of the innermost reduction loop that are written out.
    columns_first : bool
        Whether consecutive chunks of work share the vector operand (weights) rather than the rows.
    """

    vectors: int
    rows: tuple[int, ...]
    unroll: int = 1
    columns_first: bool = True

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Tiling:
        """Read a JSON object.

        Raises
        ------
        UsageError
            If it is no tiling.
        """
        try:
            return Tiling(
                int(data["vectors"]), tuple(map(int, data["rows"])), int(data["unroll"]), bool(data["columns_first"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"a tiling has vectors, rows, unroll and columns_first, not {data} ({error!r})") from error


def divisors(number: int, limit: int) -> list[int]:
    """Divisors up to a limit, ascending."""
    return [d for d in range(1, min(number, limit) + 1) if number % d == 0]


def vector_length(extent: int, machine: Machine) -> int:
    """The longest vector, a power of two, that divides an extent."""
    return min(extent & -extent, machine.lanes)


def register_tiles(
    vectors: int,
    rows: Sequence[int],
    machine: Machine,
    *,
    reused: bool,
    outer: int,
    fused_width: int | None = None,
    is_map: bool = False,
) -> list[tuple[float, int, tuple[int, ...]]]:
    """Tiles that fit the registers, best first by a model of the inner loop.

    Parameters
    ----------
    vectors : int
        How many vectors lie side by side in all.
    rows : sequence of int
        Extents of the other axes that may be tiled, innermost first.
    reused : bool
        Whether a row's value is one scalar for all vectors (matmul), or another vector for each (depthwise, pooling).
    outer : int
        Independent pieces of work besides these axes.
    fused_width : int, optional
        Width of the map where the innermost row axis is a whole map: its tiles are parts of a line, or whole lines.
    is_map : bool
        Whether the rows are the pixels of a blocked convolution. On large maps, tiles of half the registers were 5 to
        25 % faster than larger ones (AVX-512), on small maps slower.

    Returns
    -------
    list of (float, int, tuple of int)
        Cost in loads per multiply-add, with idle cores and exposed latency counted; vectors; rows.
    """
    found = []
    room = machine.registers - 2
    few = machine.registers // 2 if is_map and math.prod(rows) >= _LARGE_MAP else room
    for columns in divisors(vectors, 8):
        for tile in _row_tiles(rows, room // columns):
            count = math.prod(tile)
            held = columns * count + (columns if reused else 0)
            if held > room or (fused_width and fused_width % tile[0] and tile[0] % fused_width):
                continue
            loads = (columns + count) / (columns * count) if reused else 1.0 + 1.0 / count
            exposed = max(1.0, 8 / (columns * count))
            chunks = outer * (vectors // columns) * math.prod(math.ceil(n / t) for n, t in zip(rows, tile, strict=True))
            idle = math.ceil(chunks / machine.cores) * machine.cores / chunks
            padding = math.prod(math.ceil(n / t) * t / n for n, t in zip(rows, tile, strict=True))
            crowded = 1.0 if held <= few else 1.1
            cost = crowded * max(1.0, exposed) * idle * padding * (1.0 + 0.35 * loads)
            found.append((cost, columns, tile))
    return sorted(found, key=lambda entry: (entry[0], -entry[1]))


def _row_tiles(rows: Sequence[int], room: int) -> Iterator[tuple[int, ...]]:
    if not rows:
        yield ()
        return
    for first in divisors(rows[0], room):
        whole = first == rows[0]
        for rest in _row_tiles(rows[1:], room // first) if whole else [(1,) * (len(rows) - 1)]:
            yield (first, *rest)
