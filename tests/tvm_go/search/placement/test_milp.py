"""The programs' optimum is that of brute force; what is proven on the way holds."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings

from tests.tvm_go.search.placement.drawn import problems
from tests.tvm_go.search.placement.small import brute_force
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.graph import Int32
from tvm_go.search.placement import milp
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.objectives import evaluate

_BUDGET = PlacementBudget(10_000, 60.0)


def _solved(workload: Workload, machine: Machine, objective: str) -> PlacementProblem:
    problem = PlacementProblem(workload, machine, objective, _BUDGET)
    milp.search(problem, np.random.default_rng(0))
    return problem


@pytest.mark.parametrize("objective", milp.OBJECTIVES)
@given(problem=problems())
@settings(deadline=None, max_examples=60)
def test_optimum_is_that_of_brute_force_and_is_proven(objective: str, problem: tuple[Workload, Machine]) -> None:
    workload, machine = problem
    best = evaluate(workload, machine, objective, brute_force(workload, machine)).min()
    try:
        solved = _solved(workload, machine, objective)
    except UnsupportedModelError:
        assert best == np.inf
        return
    assert solved.best_value == pytest.approx(best, rel=1e-5)
    assert solved.lower_bound <= best
    assert solved.lower_bound == pytest.approx(best, rel=1e-5)


@given(problem=problems())
@settings(deadline=None, max_examples=60)
def test_contiguous_optimum_is_that_of_brute_force(problem: tuple[Workload, Machine]) -> None:
    workload, machine = problem
    placements = brute_force(workload, machine)
    convex = np.array([_is_contiguous(workload, device) for device in placements])
    values = np.where(convex, evaluate(workload, machine, "throughput", placements), np.inf)
    solved = PlacementProblem(workload, machine, "throughput", _BUDGET)
    try:
        milp.search_contiguous(solved, np.random.default_rng(0))
    except UnsupportedModelError:
        assert values.min() == np.inf
        return
    assert solved.best_value <= values.min() * (1 + 1e-5)
    assert solved.lower_bound <= evaluate(workload, machine, "throughput", placements).min()


def _is_contiguous(workload: Workload, device: Int32) -> bool:
    """No path leaves an accelerator and comes back to it."""
    reach = np.eye(workload.num_ops, dtype=np.bool_)
    for source, reader in zip(workload.edge_src, workload.edge_dst, strict=True):  # sorted by reader
        reach[:, reader] |= reach[:, source]
    for middle in range(workload.num_ops):
        before, after = np.flatnonzero(reach[:, middle]), np.flatnonzero(reach[middle])
        around = set(device[before].tolist()) & set(device[after].tolist())
        if around - {0, int(device[middle])}:
            return False
    return True


def test_a_cut_short_search_keeps_a_bound_and_the_placement_it_began_from() -> None:
    rng = np.random.default_rng(0)
    count = 400
    pairs = np.stack([np.maximum(np.arange(1, count) - rng.integers(1, 5, count - 1), 0), np.arange(1, count)], axis=1)
    workload = Workload.of(
        "long",
        ("cpu", "accelerator"),
        rng.uniform(1, 2, (count, 2)) * np.array([10.0, 1.0]),
        pairs,
        output_bytes=rng.uniform(0, 1, count),
    )
    problem = PlacementProblem(workload, _accelerators(4), "throughput", PlacementBudget(10_000, 1.0))
    start = (np.arange(count, dtype=np.int32) // 100 + 1)[None]
    before = float(problem.evaluate(start)[0])
    milp.search(problem, np.random.default_rng(0))
    assert problem.best_value <= before
    assert 0 < problem.lower_bound <= problem.best_value
    assert problem.seconds < 20


def _accelerators(count: int) -> Machine:
    devices = (Device("cpu", "cpu"), *(Device(f"a{i}", "accelerator", 1e9) for i in range(count)))
    return Machine.uniform("box", devices, 1.0, contend=False, overlap=False)


def test_no_feasible_placement_is_proven_as_an_infinite_bound() -> None:
    workload = Workload.of(
        "pieces",
        ("cpu", "accelerator"),
        np.tile([np.inf, 1.0], (3, 1)),
        np.empty((0, 2), dtype=np.int64),
        output_bytes=np.zeros(3),
        resident_bytes=np.full(3, 6e8),
    )
    for objective in milp.OBJECTIVES:
        solved = _solved(workload, _accelerators(2), objective)
        assert (solved.best_value, solved.lower_bound) == (np.inf, np.inf)


def test_other_objectives_and_a_missing_solver_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = Workload.of("one", ("cpu",), np.ones((1, 1)), np.empty((0, 2), dtype=np.int64), output_bytes=np.ones(1))
    machine = Machine.uniform("box", (_accelerators(0).devices[0],), 1.0)
    with pytest.raises(UsageError, match="not pipeline; choose another"):
        milp.search(PlacementProblem(workload, machine, "pipeline"), np.random.default_rng(0))
    monkeypatch.setitem(sys.modules, "highspy", None)
    with pytest.raises(UsageError, match=r"pip install 'tvm-go\[placement\]'"):
        milp.search(PlacementProblem(workload, machine, "throughput"), np.random.default_rng(0))
