"""The learned strategy on small graphs: it keeps the rules, and learns from the graph it has before it."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.tvm_go.learn.cases import chains, gpu_and_host, gpus, problem_of, random_best_ms, small_policy
from tvm_go.errors import UsageError
from tvm_go.learn.finetune import finetune
from tvm_go.policy import Checkpoint, save_policy
from tvm_go.search.placement import go
from tvm_go.search.placement.drafts import drafts
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate import Workload
from tvm_go.simulate.families import generate
from tvm_go.simulate.machines import P100, PCIE3, box
from tvm_go.simulate.objectives import OBJECTIVES


def searched(problem: PlacementProblem, seed: int = 0) -> PlacementProblem:
    go.search_with(small_policy(), problem, np.random.default_rng(seed))
    return problem


def test_the_budget_is_kept_but_for_the_drafts() -> None:
    drafts_only = problem_of(chains(), gpus(3), 10_000)
    go.take_drafts(drafts_only, np.random.default_rng(0))
    for more in (0, 1, 16, 40):
        problem = searched(problem_of(chains(), gpus(3), drafts_only.evaluations + more))
        assert problem.evaluations == drafts_only.evaluations + more
    assert np.isfinite(problem.best_value)


def test_it_is_never_worse_than_a_quick_strategy() -> None:
    workload, machine = chains(count=5, length=7, transfer_ms=0.5), gpus(2)
    found = drafts(workload, machine, "concurrent", np.random.default_rng(0))
    problem = searched(problem_of(workload, machine, 100))
    assert problem.best_value <= min(one.best_value for one in found)


def test_ops_of_one_class_share_a_device() -> None:
    workload = chains(colocated=4)
    problem = searched(problem_of(workload, gpus(3), 40))
    starts, ops = workload.class_members
    assert all(len(set(problem.best[ops[a:b]].tolist())) == 1 for a, b in pairwise(starts))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_is_searched(objective: str) -> None:
    problem = searched(PlacementProblem(chains(), gpu_and_host(), objective, PlacementBudget(200)))
    assert problem.evaluations == 200
    assert np.isfinite(problem.best_value)


def test_same_seed_same_history() -> None:
    one, other = (searched(problem_of(chains(), gpus(3), 80)) for _ in range(2))
    assert [(step.evaluations, step.value) for step in one.history] == [
        (step.evaluations, step.value) for step in other.history
    ]
    assert np.array_equal(one.best, other.best)


def test_fine_tuning_beats_random_placements_at_equal_evaluations() -> None:
    workload, machine = chains(count=3, length=12, transfer_ms=0.1), gpus(3)
    problem = searched(problem_of(workload, machine, 320))
    assert problem.best_value < random_best_ms(problem_of(workload, machine, 320))


def test_fine_tuning_improves_on_zero_shot_and_leaves_the_policy_as_it_was() -> None:
    policy = small_policy()
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    workload = generate("inception", 150, np.random.default_rng(0)).workload([P100])
    problem = problem_of(workload, box("two", [P100] * 2, PCIE3), 10_000)
    go.zero_shot(policy, problem, np.random.default_rng(0))
    first, spent = problem.best_value, problem.evaluations
    finetune(policy, problem, np.random.default_rng(0), steps=20)
    assert problem.evaluations <= spent + 20 * 16
    assert problem.best_value < first
    assert all((weight == before[name]).all() for name, weight in policy.state_dict().items())


def test_one_device_and_no_ops_are_no_special_cases() -> None:
    assert searched(problem_of(chains(), gpus(1), 16)).best.tolist() == [0] * 12
    empty = Workload.of("empty", ("gpu",), np.empty((0, 1)), np.empty((0, 2), int), output_bytes=np.empty(0))
    assert searched(problem_of(empty, gpus(), 16)).best_value == 0.0


def test_where_nothing_fits_the_search_ends_without_a_placement() -> None:
    problem = searched(problem_of(chains(), gpus(2, memory_bytes=1.0), 48))
    assert not len(problem.best)


def test_the_shipped_policy_is_used_and_without_one_it_is_said_how_to_train_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(go, "SHIPPED", tmp_path / "placement.pt")
    problem = problem_of(chains(), gpus(), 16)
    with pytest.raises(UsageError, match=r"python -m benchmarks\.train_placement"):
        go.search(problem, np.random.default_rng(0))
    save_policy(Checkpoint(small_policy()), tmp_path / "placement.pt")
    go.search(problem, np.random.default_rng(0))
    assert np.array_equal(problem.best, searched(problem_of(chains(), gpus(), 16)).best)
