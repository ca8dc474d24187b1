"""Minimum cuts against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.search.placement.small import brute_force, problem_of, random_case
from tvm_go.errors import UsageError
from tvm_go.search.placement import min_cut
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.objectives import evaluate


def case(seed: int, num_devices: int) -> tuple[Workload, Machine]:
    """A random workload, and a machine whose links differ; memory is no limit."""
    rng = np.random.default_rng(seed)
    workload, _ = random_case(rng)
    kinds = rng.choice(workload.kinds, num_devices)
    kinds[0] = workload.kinds[0]
    own = np.eye(num_devices, dtype=np.bool_)
    return workload, Machine(
        "random",
        tuple(Device(f"device {i}", str(kind)) for i, kind in enumerate(kinds)),
        np.where(own, np.inf, rng.uniform(0.2, 3.0, (num_devices, num_devices))),
        np.where(own, 0.0, rng.uniform(0.0, 2.0, (num_devices, num_devices))),
        np.full((num_devices, num_devices), -1, dtype=np.int32),
        overlap=False,
    )


@given(seed=st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_two_devices_are_placed_best(seed: int) -> None:
    workload, machine = case(seed, 2)
    problem = problem_of(workload, machine, "sequential", evaluations=100)
    min_cut.search(problem, np.random.default_rng(0))
    best = evaluate(workload, machine, "sequential", brute_force(workload, machine)).min()
    assert problem.best_value == pytest.approx(best, rel=1e-6) if np.isfinite(best) else problem.best_value == np.inf


@given(seed=st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_no_single_move_betters_a_placement_on_three_devices(seed: int) -> None:
    workload, machine = case(seed, 3)
    problem = problem_of(workload, machine, "sequential", evaluations=1000)
    min_cut.search(problem, np.random.default_rng(0))
    if not np.isfinite(problem.best_value):
        return
    for label in range(workload.num_classes):
        for device in range(3):
            moved = np.where(workload.colocation == label, device, problem.best).astype(np.int32)
            value = evaluate(workload, machine, "sequential", moved[None])[0]
            assert value >= problem.best_value - 1e-6 * problem.best_value


def test_another_objective_is_refused() -> None:
    workload, machine = case(0, 2)
    with pytest.raises(UsageError, match="min_cut serves the objective sequential, not 'latency'"):
        min_cut.search(problem_of(workload, machine, "latency", evaluations=10), np.random.default_rng(0))
