"""The learned strategy on small graphs: it keeps the rules, and learns from the graph it has before it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tvm_go.learn.cases import chains, gpu_and_host, gpus, problem_of, random_best_ms, small_policy
from tvm_go.errors import UsageError
from tvm_go.learn.finetune import finetune
from tvm_go.policy import Actions, Checkpoint, GraphInput, Policy, graph_input, save_policy
from tvm_go.search.placement import go
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate import Workload
from tvm_go.simulate.objectives import OBJECTIVES


def searched(problem: PlacementProblem, seed: int = 0) -> PlacementProblem:
    go.search_with(small_policy(), problem, np.random.default_rng(seed))
    return problem


@pytest.mark.parametrize("evaluations", [1, 2, 5, 16, 40])
def test_the_budget_is_kept_exactly(evaluations: int) -> None:
    problem = searched(problem_of(chains(), gpus(), evaluations))
    assert problem.evaluations == evaluations
    assert np.isfinite(problem.best_value)


def test_ops_of_one_class_share_a_device() -> None:
    workload = chains(colocated=4)
    problem = searched(problem_of(workload, gpus(3), 40))
    starts, ops = workload.class_members
    assert all(len(set(problem.best[ops[a:b]].tolist())) == 1 for a, b in pairwise(starts))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_is_searched(objective: str) -> None:
    problem = searched(PlacementProblem(chains(), gpu_and_host(), objective, PlacementBudget(40)))
    assert problem.evaluations == 40


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
    problem = problem_of(chains(count=3, length=12, transfer_ms=0.1), gpus(3), 10_000)
    graph = graph_input(problem.workload, problem.machine)
    order = go.zero_shot(policy, problem, graph, np.random.default_rng(0))
    first = problem.best_value
    assert problem.evaluations == 16
    finetune(policy, problem, graph, order, np.random.default_rng(0), steps=40)
    assert problem.evaluations == 16 + 40 * 16
    assert problem.best_value < first
    assert all((weight == before[name]).all() for name, weight in policy.state_dict().items())


def test_one_device_and_no_ops_are_no_special_cases() -> None:
    assert searched(problem_of(chains(), gpus(1), 16)).best.tolist() == [0] * 12
    empty = Workload.of("empty", ("gpu",), np.empty((0, 1)), np.empty((0, 2), int), output_bytes=np.empty(0))
    assert searched(problem_of(empty, gpus(), 16)).best_value == 0.0


def test_a_plan_that_does_not_fit_is_mended() -> None:
    class Crowding(Policy):
        """Puts everything on the first device."""

        def act(self, graph: GraphInput, count: int, generator: torch.Generator, greedy: bool = False) -> Actions:
            actions = super().act(graph, count, generator, greedy)
            return replace(actions, drawn={"placement": torch.zeros_like(actions.drawn["placement"])})

    problem = problem_of(chains(transfer_ms=0.1), gpus(2, memory_bytes=8000.0), 20)
    graph = graph_input(problem.workload, problem.machine)
    go.zero_shot(Crowding(small_policy().config), problem, graph, np.random.default_rng(0))
    assert np.isfinite(problem.best_value)
    assert set(problem.best.tolist()) == {0, 1}


def test_where_nothing_fits_the_search_ends_without_a_placement() -> None:
    problem = searched(problem_of(chains(), gpus(2, memory_bytes=1.0), 48))
    assert problem.evaluations == 48
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
