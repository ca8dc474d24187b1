"""Orders that the strategies find, on random graphs and on some whose best order is known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.simulate.test_peak_memory import random_order, random_tensors
from tvm_go.errors import UsageError
from tvm_go.search.placement.problem import PlacementBudget
from tvm_go.search.scheduling import (
    SCHEDULING_STRATEGIES,
    list_schedule,
    makespan_problem,
    memory_problem,
    scheduling_strategy,
)
from tvm_go.search.scheduling.list_schedule import priority_of
from tvm_go.search.scheduling.problem import MEASURES, SchedulingProblem
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.kernel_tensors import KernelTensors
from tvm_go.simulate.objectives import evaluate
from tvm_go.simulate.peak_memory import peak_bytes


def branches(count: int) -> KernelTensors:
    """One input feeds some branches, each a large tensor and a small one made of it; the small ones are summed.

    Breadth first all large tensors are alive together; depth first, one.
    """
    large, small = np.arange(1, count + 1), np.arange(count + 1, 2 * count + 1)
    uses = [[], *([0] for _ in large), *([int(tensor)] for tensor in large), small.tolist()]
    total = 2 * count + 2
    return KernelTensors(
        output_start=np.arange(total + 1),
        output_bytes=np.concatenate([[1], np.full(count, 1000), np.full(count + 1, 1)]),
        use_start=np.cumsum([0, *map(len, uses)]).astype(np.int64),
        use_tensor=np.array([tensor for tensors in uses for tensor in tensors], dtype=np.int32),
        is_view=np.zeros(total, dtype=np.bool_),
        returned=np.arange(total) == total - 1,
    )


def two_devices() -> tuple[Workload, Machine, np.ndarray]:
    """A long chain that begins on one device and goes on at the other, and short ops that could wait."""
    workload = Workload.of(
        "chain and others",
        ("gpu",),
        np.array([[1.0]] * 8 + [[1.0], [9.0]]),
        np.array([[8, 9]]),
        output_bytes=np.ones(10),
    )
    machine = Machine.uniform("pair", (Device("a", "gpu"), Device("b", "gpu")), bytes_per_ms=1e9)
    return workload, machine, np.array([0] * 9 + [1], dtype=np.int32)


def run(name: str, problem: SchedulingProblem, seed: int = 0) -> SchedulingProblem:
    scheduling_strategy(name)(problem, np.random.default_rng(seed))
    return problem


@pytest.mark.parametrize("objective", sorted(MEASURES))
@pytest.mark.parametrize("name", sorted(SCHEDULING_STRATEGIES))
def test_every_strategy_gives_a_legal_order_whose_value_is_what_it_says(name: str, objective: str) -> None:
    for seed in range(10):
        tensors = random_tensors(seed, 40)
        problem = run(name, memory_problem(tensors, objective, PlacementBudget(evaluations=300)))
        tensors.check_order(problem.best_order)
        assert MEASURES[objective](tensors, problem.best_order) == problem.best_value
        assert problem.best_value >= problem.lower_bound
        assert problem.evaluations <= 300


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_list_scheduling_gives_a_legal_order_and_every_legal_order(seed: int, num_kernels: int) -> None:
    tensors = random_tensors(seed, num_kernels)
    priority = np.random.default_rng(seed).integers(0, 5, size=num_kernels).astype(np.float64)
    tensors.check_order(list_schedule(tensors, priority))
    order = random_order(tensors, seed)
    assert np.array_equal(list_schedule(tensors, priority_of(order)), order)


@given(st.integers(0, 10**6), st.integers(2, 7))
@settings(max_examples=30, deadline=None)
def test_annealing_finds_the_least_peak_of_small_graphs(seed: int, num_kernels: int) -> None:
    tensors = random_tensors(seed, num_kernels)
    best = float("inf")
    for order in permutations(range(num_kernels)):
        try:
            tensors.check_order(np.array(order, dtype=np.int32))
        except UsageError:
            continue
        best = min(best, peak_bytes(tensors, np.array(order, dtype=np.int32)))
    assert run("annealing", memory_problem(tensors, budget=PlacementBudget(evaluations=5000))).best_value == best


@pytest.mark.parametrize("name", ["memory_greedy", "annealing"])
def test_branches_are_followed_to_their_end(name: str) -> None:
    tensors = branches(8)
    breadth_first = run("topological", memory_problem(tensors))
    assert breadth_first.best_value > 8000
    assert run(name, memory_problem(tensors)).best_value < 1020


@pytest.mark.parametrize("objective", sorted(MEASURES))
def test_annealing_is_never_worse_than_the_quick_strategies_and_better_somewhere(objective: str) -> None:
    better = 0
    for seed in range(10):
        tensors = random_tensors(seed, 60, views=False)
        quick = min(
            run(name, memory_problem(tensors, objective)).best_value
            for name in SCHEDULING_STRATEGIES
            if name != "annealing"
        )
        annealed = run("annealing", memory_problem(tensors, objective, PlacementBudget(3000))).best_value
        assert annealed <= quick
        better += annealed < quick
    assert better > 0


def test_same_seed_gives_the_same_order() -> None:
    tensors = random_tensors(4, 60)
    orders = [run("annealing", memory_problem(tensors, budget=PlacementBudget(2000)), seed=7) for _ in range(2)]
    assert np.array_equal(orders[0].best_order, orders[1].best_order)


@pytest.mark.parametrize("name", ["critical_path", "annealing"])
def test_what_another_device_waits_for_goes_first(name: str) -> None:
    workload, machine, device = two_devices()
    assert run("topological", makespan_problem(workload, machine, device)).best_value == pytest.approx(18, rel=1e-6)
    problem = run(name, makespan_problem(workload, machine, device, PlacementBudget(evaluations=500)))
    assert problem.best_value == pytest.approx(10, rel=1e-6)
    again = evaluate(workload, machine, "concurrent", device[None], problem.best_priority[None])
    assert problem.best_value == pytest.approx(again[0])


def test_a_placement_that_does_not_fit_stays_infeasible_in_every_order() -> None:
    workload, _, device = two_devices()
    tiny = Machine.uniform("tiny", (Device("a", "gpu", 0.5), Device("b", "gpu", 0.5)), bytes_per_ms=1e9)
    for name in SCHEDULING_STRATEGIES:
        problem = run(name, makespan_problem(workload, tiny, device, PlacementBudget(evaluations=50)))
        assert problem.best_value == float("inf")
        assert len(problem.best_order) == workload.num_ops


def test_wrong_names_are_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"'magic'; choose from topological"):
        scheduling_strategy("magic")
    with pytest.raises(UsageError, match=r"'speed'; choose from peak, planned"):
        memory_problem(branches(2), "speed")
