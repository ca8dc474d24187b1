"""What is kept of a run is what it told."""

from __future__ import annotations

from tests.tvm_go.runs import DEFAULT_MS, SUMS_MS, Clock, key, told


def test_improvements_are_kept_once_with_their_place_in_the_run() -> None:
    run = told(Clock())
    assert [one.best_ms for one in run.improvements] == list(SUMS_MS)
    assert [one.stage for one in run.improvements] == ["variants", "search", "search", "search"]
    assert [one.times for one in run.improvements] == [10, 15, 20, 25]
    assert [one.seconds for one in run.improvements] == [5.0, 10.0, 15.0, 20.0]
    assert (run.best_ms, run.gain) == (SUMS_MS[-1], DEFAULT_MS / SUMS_MS[-1])


def test_times_failures_and_stages_are_counted() -> None:
    run = told(Clock())
    assert (run.measured, run.from_log, run.times) == (15, 10, 25)
    assert run.measured_kernels == {key(number) for number in range(10, 25)}
    assert len(run.kernels) == 25
    assert run.failures == {"timeout": 1}
    assert run.examples["timeout"].key == key(12)
    assert [(start.name, start.seconds, start.times) for start in run.stages] == [
        ("prepare", 0.0, 0),
        ("default", 5.0, 0),
        ("variants", 5.0, 10),
        ("search", 5.0, 10),
        ("verify", 20.0, 25),
    ]
    assert [plan.plan_ms for plan in run.plans] == [8.0]
    assert run.seconds == 28.0
