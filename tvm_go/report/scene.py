"""Scene: all that the page shows of a plan, as arrays; where it came from no longer matters."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvm_go.graph import Int32
from tvm_go.report.changes import Comparison

Floats = NDArray[np.float64]

INPUT, CONSTANT = -1, -2
"""``value_op`` of what no op makes."""

_ALIGNMENT = 8  # bytes, of every array in the packed data: JavaScript reads them in place


@dataclass(frozen=True, eq=False)
class Structure:
    """The graph: N ops, V values, U uses, in K kernels; ops are numbered kernel by kernel, in execution order.

    Attributes
    ----------
    names, attrs, forms, types : tuple of str
        Vocabularies of operators, their attributes, their forms ("" for TVM's own), and types of values.
    op_start : int32 [K + 1]
        Ops ``op_start[k]:op_start[k + 1]`` are kernel ``k``.
    anchor : int32 [K]
        The op that a kernel is named after.
    op_name, op_attrs, op_form : int32 [N]
    op_flops, op_bytes : float64 [N]
        Of each op alone: floating point operations, bytes read and written.
    kernel_bytes : float64 [K]
        Bytes that each kernel reads and writes.
    value_op : int32 [V]
        Op that makes each value, ascending; then :data:`INPUT` and :data:`CONSTANT`.
    value_type : int32 [V]
    value_bytes : float64 [V]
    use_start : int32 [N + 1]
        Uses ``use_start[i]:use_start[i + 1]`` are what op ``i`` reads.
    use_value : int32 [U]
    placement : bool
        Whether ops are what a placement decides on: each one a kernel, and called what its attributes say.
    """

    names: tuple[str, ...]
    attrs: tuple[str, ...]
    forms: tuple[str, ...]
    types: tuple[str, ...]
    op_start: Int32
    anchor: Int32
    op_name: Int32
    op_attrs: Int32
    op_form: Int32
    op_flops: Floats
    op_bytes: Floats
    kernel_bytes: Floats
    value_op: Int32
    value_type: Int32
    value_bytes: Floats
    use_start: Int32
    use_value: Int32
    placement: bool

    @property
    def num_kernels(self) -> int:
        return len(self.op_start) - 1

    @property
    def num_ops(self) -> int:
        return len(self.op_name)


@dataclass(frozen=True, eq=False)
class Run:
    """When and where kernels run.

    Attributes
    ----------
    devices : tuple of str
    lowerings, sources : tuple of str
        Vocabularies of how kernels were lowered, and where their times come from.
    device, lowering, source : int32 [K]
    ms : float64 [K]
        NaN where nobody knows.
    start_ms, end_ms : float64 [K]
    copy_value, copy_device : int32 [C]
        Which of the structure's values was copied from where it was made, inputs from the first device; and to where.
    copy_bytes, copy_ms : float64 [C]
        NaN where nobody knows how long it took.
    copy_start_ms, copy_end_ms : float64 [C]
    memory_device : int32 [M]
        Ascending; and then in time, how many bytes are in use on a device from a moment on:
    memory_ms, memory_bytes : float64 [M]
    capacity_bytes : float64 [D]
        ``inf`` where there is no limit.
    measured : bool
        Whether times are milliseconds; if not, every kernel and every copy is drawn as long as any other.
    """

    devices: tuple[str, ...]
    lowerings: tuple[str, ...]
    sources: tuple[str, ...]
    device: Int32
    lowering: Int32
    source: Int32
    ms: Floats
    start_ms: Floats
    end_ms: Floats
    copy_value: Int32
    copy_device: Int32
    copy_bytes: Floats
    copy_ms: Floats
    copy_start_ms: Floats
    copy_end_ms: Floats
    memory_device: Int32
    memory_ms: Floats
    memory_bytes: Floats
    capacity_bytes: Floats
    measured: bool


@dataclass(frozen=True, eq=False)
class Scene:
    """One page.

    Attributes
    ----------
    title : str
    facts : tuple of (str, str)
        What stands at the head, by name.
    levels : tuple of int32 arrays
        Blocks into which the graph is folded, the coarsest level first: kernels at which each block begins, and K. A
        block of a level is made of whole blocks of the next one. Empty for a graph that is drawn kernel by kernel.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    structure: Structure
    run: Run
    levels: tuple[Int32, ...]
    comparison: Comparison | None


def packed(scene: Scene) -> str:
    """A scene as text for the page: base 64 of gzip of a JSON head's length (uint32), the head, and the arrays.

    The head holds all texts by name, and of each array its type, place in bytes and length.
    """
    texts: dict[str, Any] = {"title": scene.title, "measured": scene.run.measured}
    arrays: dict[str, NDArray[Any]] = {f"level{i}": level for i, level in enumerate(scene.levels)}
    shown: list[Structure | Run | Comparison] = [scene.structure, scene.run]
    for part in [*shown, scene.comparison] if scene.comparison else shown:
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, np.ndarray):
                arrays[field.name] = value
            else:
                texts[field.name] = value
    places: dict[str, list[Any]] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        small = array.astype("<f8" if array.dtype.kind == "f" else "<i4")
        places[name] = ["f8" if array.dtype.kind == "f" else "i4", offset, len(small)]
        data = small.tobytes()
        parts.append(data + bytes(-len(data) % _ALIGNMENT))
        offset += len(parts[-1])
    head = json.dumps({"texts": texts, "arrays": places}, separators=(",", ":")).encode()
    head += b" " * (-(len(head) + 4) % _ALIGNMENT)
    content = np.array([len(head)], dtype="<u4").tobytes() + head + b"".join(parts)
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()
