"""Texts of targets: one TVM target, or a target set such as ``cpu=llvm -mcpu=..., opencl=opencl``."""

from __future__ import annotations

import re

from tvm_go.errors import UsageError

HOST = "cpu"
"""TVM's name of the device that a model's inputs and results are on."""

_NAMED = re.compile(r"(?:^|,)\s*([a-z]\w*)\s*=(?=\s*[a-z])")
_KINDS_OF_CPU = ("llvm", "c")


def target_texts(text: str) -> dict[str, str]:
    """TVM target of each device of a target set, by TVM's name of the device; one entry for a plain target.

    Raises
    ------
    UsageError
        If a set names a device twice, or has a part without a name or without a target.
    """
    marks = list(_NAMED.finditer(text))
    if not marks or marks[0].start() != 0:
        kind = text.split(maxsplit=1)[0] if text.split() else ""
        return {HOST if kind in _KINDS_OF_CPU else kind: text}
    found: dict[str, str] = {}
    for mark, end in zip(marks, [*(mark.start() for mark in marks[1:]), len(text)], strict=True):
        name, part = mark[1], text[mark.end() : end].strip()
        if name in found:
            raise UsageError(f"target set '{text}' names the device {name} twice: a set has one target for each device")
        found[name] = part
    return found


def device_names(text: str) -> tuple[str, ...]:
    """TVM's names of the devices of a target or target set, the host first in a set."""
    return tuple(target_texts(text))
