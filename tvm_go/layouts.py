"""What TVM's layout texts say of shapes: NCHW8c has the axes N, C, H, W and c."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Shape = tuple[int, ...]


def axes(layout: str) -> list[str]:
    """Letters of a layout's axes; capitals are whole axes, others their blocks."""
    return [axis for axis in layout if axis.isalpha()]


def channels(layout: str, shape: Shape) -> int:
    """Channels of a tensor, blocked or not."""
    return math.prod(extent for axis, extent in zip(axes(layout), shape, strict=True) if axis in "Cc")


def window(attrs: Mapping[str, Any], weight: Shape) -> list[int]:
    """Extents of a convolution's window: of its attributes, else of its weights."""
    return attrs.get("kernel_size") or [
        extent for axis, extent in zip(axes(attrs["kernel_layout"]), weight, strict=True) if axis in "DHW"
    ]
