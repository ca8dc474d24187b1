"""Options are checked, and each takes effect."""

from __future__ import annotations

import pytest

from cost_model.config import MeasureConfig
from cost_model.run_worker import calls_per_time


@pytest.mark.parametrize(
    ("name", "value"), [("number", 0), ("repeat", 0), ("workers", 0), ("run_timeout_s", 0.0), ("warmup", -1)]
)
def test_an_impossible_value_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"MeasureConfig.{name} is {value}"):
        MeasureConfig(**{name: value})  # type: ignore[arg-type]


def test_a_short_kernel_is_averaged_over_enough_calls() -> None:
    config = MeasureConfig(number=3, repeat=5, min_repeat_ms=1.0, max_timing_ms=200.0)
    assert calls_per_time(0.01, config) == 100
    assert calls_per_time(1.0, config) == 3
    assert calls_per_time(0.01, MeasureConfig(min_repeat_ms=2.0)) == 200
    assert calls_per_time(1.0, MeasureConfig(number=10)) == 10


def test_a_long_kernel_is_not_timed_for_long() -> None:
    config = MeasureConfig(number=3, repeat=5, max_timing_ms=200.0)
    assert calls_per_time(20.0, config) == 2
    assert calls_per_time(100.0, config) == 1
    assert calls_per_time(201.0, config) == 0
    assert calls_per_time(20.0, MeasureConfig(repeat=2, max_timing_ms=200.0)) == 3
    assert calls_per_time(0.0, config) > 0
