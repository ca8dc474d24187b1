"""An OpGraph as JSON: vocabularies as text, arrays packed, so that 80,000 ops are read and written at once."""

from __future__ import annotations

import base64
import zlib
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvm_go.graph import OpGraph

_TEXTS = ("op_names", "attr_texts", "dtypes", "input_names")


def to_json(graph: OpGraph) -> dict[str, Any]:
    """One JSON object; :func:`from_json` gives the same graph."""
    return {
        field.name: list(getattr(graph, field.name)) if field.name in _TEXTS else packed(getattr(graph, field.name))
        for field in fields(graph)
    }


def from_json(data: Any) -> OpGraph:
    """Read what :func:`to_json` wrote.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is something else; whether it is the graph that a plan is for, its structural hash tells.
    """
    values: dict[str, Any] = {
        field.name: tuple(map(str, data[field.name])) if field.name in _TEXTS else unpacked(data[field.name])
        for field in fields(OpGraph)
    }
    return OpGraph(**values)


def packed(array: NDArray[Any]) -> str:
    """An array of one dimension as text: its dtype, a colon, and its bytes in zlib and base 64."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return f"{little.dtype.str}:{base64.b64encode(zlib.compress(little.tobytes(), 6)).decode()}"


def unpacked(text: Any) -> NDArray[Any]:
    """Read what :func:`packed` wrote.

    Raises
    ------
    ValueError
        If it is something else.
    """
    dtype, _, data = str(text).partition(":")
    try:
        content = zlib.decompress(base64.b64decode(data, validate=True))
        return np.frombuffer(content, dtype=np.dtype(dtype)).astype(np.dtype(dtype).newbyteorder("="))
    except (zlib.error, TypeError) as error:
        raise ValueError(f"no packed array: {error}") from error
