"""Models prepared once for all tests of this folder."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from tests.relay_passes.prepared import Prepared, prepare_model


@pytest.fixture(scope="session")
def prepared() -> Callable[[str], Prepared]:
    """A model of the zoo by name, prepared and read."""
    return functools.cache(prepare_model)
