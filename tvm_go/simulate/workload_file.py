"""Workloads as JSON, in columns, so that a million ops are read at the speed of the JSON parser.

``{"format": "tvm-go workload 1", "name": ..., "ids": [...], "ms": {kind: [...]}, "resident_bytes": [...],
"output_bytes": [...], "colocation": [...], "edges": {"from": [id, ...], "to": [id, ...]}}``. In ``ms``, null stands for
a kind that cannot run the op. ``resident_bytes`` and ``colocation`` may be left out; ops of equal colocation label, any
whole number that is not negative, share a device, and null stands for an op that is free.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tvm_go.atomic import write_atomically
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.graph import Int64
from tvm_go.simulate.workload import Floats, Workload

FORMAT = "tvm-go workload 1"


def write(path: Path, workload: Workload) -> None:
    """Write a workload; `read` gives the same one.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    ids = workload.op_ids
    data = {
        "format": FORMAT,
        "name": workload.name,
        "ids": list(ids),
        "ms": {
            kind: [ms if math.isfinite(ms) else None for ms in column.tolist()]
            for kind, column in zip(workload.kinds, workload.op_ms.T, strict=True)
        },
        "resident_bytes": workload.resident_bytes.tolist(),
        "output_bytes": workload.output_bytes.tolist(),
        "colocation": workload.colocation.tolist(),
        "edges": {
            "from": [ids[op] for op in workload.edge_src.tolist()],
            "to": [ids[op] for op in workload.edge_dst.tolist()],
        },
    }
    try:
        write_atomically(path, json.dumps(data, allow_nan=False).encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give another path") from None


def read(path: Path) -> Workload:
    """Read a workload.

    Raises
    ------
    UsageError
        If there is no such file.
    UnsupportedModelError
        If it does not hold a workload: not this format, a column of the wrong length, an unknown or repeated id, a cost
        that is negative or not a number, a cycle.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; give the path of a workload") from None
    except ValueError as error:
        raise UnsupportedModelError(f"{path} is not JSON: {error}; write it again") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UnsupportedModelError(f"{path} is not a workload; its 'format' must be '{FORMAT}'")
    return _workload(str(path), data)


def _workload(path: str, data: dict[str, Any]) -> Workload:
    ids = _list(path, data, "ids")
    place = {op_id: op for op, op_id in enumerate(ids) if isinstance(op_id, str | int)}
    if len(place) < len(ids):
        bad = next(op_id for op, op_id in enumerate(ids) if not isinstance(op_id, str | int) or place[op_id] != op)
        raise UnsupportedModelError(f"{path}: id {bad!r} is there twice or is no text or whole number; rename that op")
    kinds = data.get("ms")
    if not isinstance(kinds, dict) or not kinds:
        raise UnsupportedModelError(f"{path}: 'ms' is missing; give the milliseconds of each op by kind of device")
    edges = data.get("edges")
    if not isinstance(edges, dict):
        raise UnsupportedModelError(f"{path}: 'edges' is missing; give the ids of producers 'from' and readers 'to'")
    ends = [_ends(path, _list(path, edges, side), place) for side in ("from", "to")]
    if len(ends[0]) != len(ends[1]):
        raise UnsupportedModelError(f"{path}: edges have {len(ends[0])} producers and {len(ends[1])} readers")
    colocation = None
    if "colocation" in data:
        labels = _column(path, "colocation", _list(path, data, "colocation", len(ids)), ids, missing=-1.0)
        colocation = labels.astype(np.int64)
    return Workload.of(
        str(data.get("name", Path(path).stem)),
        tuple(kinds),
        np.stack(
            [_column(path, kind, _list(path, kinds, kind, len(ids)), ids, missing=np.inf) for kind in kinds], axis=1
        ),
        np.stack(ends, axis=1),
        output_bytes=_column(path, "output_bytes", _list(path, data, "output_bytes", len(ids)), ids),
        resident_bytes=(
            _column(path, "resident_bytes", _list(path, data, "resident_bytes", len(ids)), ids)
            if "resident_bytes" in data
            else None
        ),
        colocation=colocation,
        op_ids=tuple(ids),
    )


def _list(path: str, data: dict[str, Any], key: str, length: int | None = None) -> list[Any]:
    values = data.get(key)
    if not isinstance(values, list):
        raise UnsupportedModelError(f"{path}: '{key}' is missing or is not a list; give one entry for each op or edge")
    if length is not None and len(values) != length:
        raise UnsupportedModelError(f"{path}: '{key}' has {len(values)} entries for {length} ops; give one for each")
    return values


def _ends(path: str, ids: Sequence[Any], place: dict[str | int, int]) -> Int64:
    try:
        return np.array([place[op_id] for op_id in ids], dtype=np.int64)
    except (KeyError, TypeError):
        unknown = next(op_id for op_id in ids if not isinstance(op_id, str | int) or op_id not in place)
        raise UnsupportedModelError(f"{path}: an edge names {unknown!r}, which is not among the ids") from None


def _column(path: str, key: str, values: list[Any], ids: list[Any], *, missing: float | None = None) -> Floats:
    """Numbers that are not negative; None stands for `missing`, where that may be."""
    try:
        given = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    except (TypeError, ValueError):
        given = np.array([value if isinstance(value, int | float) else np.nan for value in values], dtype=np.float64)
        missing = None
    absent = np.array([value is None for value in values], dtype=np.bool_)
    wrong = ~(np.isfinite(given) & (given >= 0)) & ~(absent & (missing is not None))
    if wrong.any():
        op = int(np.argmax(wrong))
        raise UnsupportedModelError(
            f"{path}: '{key}' of op {ids[op]} is {values[op]!r}; give a number that is not negative"
        )
    return given if missing is None else np.where(absent, missing, given)
