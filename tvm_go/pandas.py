"""The package pandas, which only tables need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tvm_go.errors import UsageError


def pandas() -> Any:
    """The package pandas, which nothing else of ours needs.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        return import_module("pandas")
    except ModuleNotFoundError as error:
        if error.name != "pandas":
            raise
        raise UsageError("tables need pandas: pip install 'tvm-go[pandas]'") from None
