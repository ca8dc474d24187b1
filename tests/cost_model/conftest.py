"""A measurer that the tests of this folder share: starting one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cost_model.measure import MeasureConfig, Measurer


@pytest.fixture(scope="session")
def measurer() -> Iterator[Measurer]:
    config = MeasureConfig(workers=2, batch_size=4, build_timeout_s=15.0, run_timeout_s=4.0, build_memory_mb=1024)
    with Measurer(target="native", config=config) as shared:
        yield shared
