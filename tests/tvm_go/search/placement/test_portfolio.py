"""The portfolio finds what is best on small problems, repeats itself by seed, and shares what its steps find."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from tests.tvm_go.search.placement.small import brute_force, random_case
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.placing import place
from tvm_go.search.placement import STRATEGIES, UNLIMITED, PlacementBudget, PlacementProblem, portfolio, strategy
from tvm_go.search.placement._steps import Shared
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.objectives import evaluate


def _case() -> tuple[Workload, Machine]:
    return random_case(np.random.default_rng(3))


@pytest.mark.parametrize("objective", ["throughput", "latency", "concurrent"])
def test_small_problems_are_solved_within_an_evaluation_budget_the_same_way_each_time(objective: str) -> None:
    workload, machine = _case()
    best = evaluate(workload, machine, objective, brute_force(workload, machine)).min()
    found = [place(workload, machine, objective, budget=PlacementBudget(20_000), seed=5) for _ in range(2)]
    assert found[0].value == pytest.approx(best)
    assert found[0].lower_bound <= best * (1 + 1e-9)
    assert np.array_equal(found[0].device, found[1].device)
    assert [step.value for step in found[0].history] == [step.value for step in found[1].history]
    assert found[0].evaluations == found[1].evaluations


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_both_lanes_end_as_soon_as_the_best_is_proven(objective: str) -> None:
    workload, machine = _case()
    found = place(workload, machine, objective, budget=PlacementBudget(UNLIMITED, 20.0))
    assert found.gap < 1e-5
    assert found.value == pytest.approx(evaluate(workload, machine, objective, brute_force(workload, machine)).min())


def test_what_a_step_finds_and_proves_is_everyones_at_once() -> None:
    workload, machine = _case()
    problem = PlacementProblem(workload, machine, "throughput")
    shared = Shared(problem)
    step = shared.step(seconds=10.0, evaluations=100)
    step.report(np.zeros(workload.num_ops, dtype=np.int32), 40)
    step.raise_bound(0.25)
    assert (problem.best_value, problem.evaluations, problem.lower_bound) == (step.best_value, 40, 0.25)
    assert shared.step(seconds=1.0, evaluations=1).best_value == problem.best_value
    assert not step.exhausted
    shared.stop.set()
    assert step.exhausted


def test_an_error_in_one_lane_ends_the_others_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def failing(problem: PlacementProblem, rng: np.random.Generator) -> None:
        raise RuntimeError("broken")

    def endless(problem: PlacementProblem, rng: np.random.Generator) -> None:
        while not problem.exhausted:
            time.sleep(0.01)
        ended.set()

    monkeypatch.setattr(portfolio, "_LANES", {"throughput": ((("dp", 1.0),), (("annealing", 1.0),))})
    monkeypatch.setattr(portfolio, "_SEARCHES", {"dp": failing, "annealing": endless})
    with pytest.raises(RuntimeError, match="broken"):
        place(*_case(), "throughput", budget=PlacementBudget(UNLIMITED, 60.0))
    assert ended.is_set()


def test_unknown_names_are_named_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="unknown strategy 'magic'; choose from portfolio, single"):
        strategy("magic")
    with pytest.raises(UsageError, match="unknown objective 'speed'; choose from throughput"):
        place(*_case(), "speed")
    assert all(strategy(name) is search for name, search in STRATEGIES.items())


def test_plain_infeasibility_is_an_error_before_any_search() -> None:
    workload, machine = _case()
    nowhere = Workload.of(
        "nowhere", workload.kinds, np.full((1, 2), np.inf), np.empty((0, 2), dtype=np.int64), output_bytes=np.ones(1)
    )
    with pytest.raises(UnsupportedModelError, match="op 0 runs on no device"):
        place(nowhere, machine, "throughput")
