"""Strategies by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from tvm_go.errors import UsageError

T = TypeVar("T")


def by_name(strategies: Mapping[str, T], name: str, what: str = "strategy") -> T:
    """One of some strategies.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    if name not in strategies:
        raise UsageError(f"unknown {what} '{name}'; choose from {', '.join(strategies)}")
    return strategies[name]
