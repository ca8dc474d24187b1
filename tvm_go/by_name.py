"""What users choose by its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from tvm_go.errors import UsageError

T = TypeVar("T")


def by_name(values: Mapping[str, T], name: str, what: str) -> T:
    """One of some values; `what` says what they are, such as ``strategy``.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    check_name(values, name, what)
    return values[name]


def check_name(names: Collection[str], name: str, what: str) -> None:
    """Refuse a name that is not one of some; `what` says what they name.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    if name not in names:
        raise UsageError(f"unknown {what} '{name}'; choose from {', '.join(names)}")
