"""Hierarchical device placement on small graphs: it learns, keeps the rules, and leaves torch as it was."""

import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

from tvm_go.errors import UsageError
from tvm_go.graph import Int32
from tvm_go.search.placement import hdp
from tvm_go.search.placement._hdp_features import classes_of, group_embeddings
from tvm_go.search.placement._hdp_networks import Placer, initialise
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.objectives import OBJECTIVES
from tvm_go.simulate.workload import Floats


def chains(count: int = 4, length: int = 6, *, colocated: int = 1, host_ms: float = 1.0) -> Workload:
    """Chains that never meet; tensors are dear to move, so a chain belongs on one device."""
    ops = np.arange(count * length)
    return Workload.of(
        "chains",
        ("cpu", "gpu"),
        np.stack([np.where(ops % 2 == 0, host_ms, 1.0), np.ones(len(ops))], axis=1),
        np.stack([ops[:-1], ops[1:]], axis=1)[ops[1:] % length != 0],
        output_bytes=np.full(len(ops), 1000.0),
        resident_bytes=np.full(len(ops), 10_000.0),
        colocation=ops // colocated,
    )


def box(*, host_bytes: float = float("inf"), gpu_bytes: float = float("inf")) -> Machine:
    devices = (Device("host", "cpu", host_bytes), *(Device(f"gpu{i}", "gpu", gpu_bytes) for i in range(3)))
    return Machine.uniform("box", devices, bytes_per_ms=1000.0)


def problem_of(
    workload: Workload, machine: Machine, evaluations: int, *, objective: str = "pipeline"
) -> PlacementProblem:
    return PlacementProblem(workload, machine, objective, PlacementBudget(evaluations=evaluations))


def searched(problem: PlacementProblem, seed: int = 3) -> PlacementProblem:
    hdp.search(problem, np.random.default_rng(seed))
    return problem


def noting_batches(problem: PlacementProblem, monkeypatch: pytest.MonkeyPatch) -> list[Floats]:
    """Values of each batch that is evaluated from now on."""
    batches: list[Floats] = []
    evaluate = problem.evaluate

    def noted(devices: Int32) -> Floats:
        batches.append(evaluate(devices))
        return batches[-1]

    monkeypatch.setattr(problem, "evaluate", noted)
    return batches


def randomly_placed(problem: PlacementProblem, seed: int = 0) -> PlacementProblem:
    shape = (problem.budget.evaluations, problem.workload.num_classes)
    drawn = np.random.default_rng(seed).integers(0, problem.machine.num_devices, shape, dtype=np.int32)
    problem.evaluate(drawn[:, problem.workload.colocation])
    return problem


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_is_searched_and_the_budget_is_kept_exactly(objective: str) -> None:
    problem = searched(problem_of(chains(length=3), box(), 40, objective=objective))
    assert problem.evaluations == 40
    assert len(problem.best) == problem.workload.num_ops or objective == "latency"


def test_it_improves_on_its_first_samples_and_beats_random_placements_at_equal_evaluations() -> None:
    workload = chains(length=30, host_ms=10.0)
    problem = searched(problem_of(workload, box(), 160))
    first = min(step.value for step in problem.history if step.evaluations <= 16)
    assert problem.best_value < first
    assert problem.best_value < randomly_placed(problem_of(workload, box(), 160)).best_value


def test_placements_drawn_late_are_better_on_average_than_early_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(chains(host_ms=10.0), box(), 480)
    batches = noting_batches(problem, monkeypatch)
    searched(problem)
    assert np.mean(batches[-5:]) < 0.8 * np.mean(batches[:1])


def test_ops_of_one_class_share_a_device() -> None:
    workload = chains(colocated=3)
    problem = searched(problem_of(workload, box(), 100))
    starts, ops = workload.class_members
    assert len(problem.best)
    assert all(len(set(problem.best[ops[a:b]].tolist())) == 1 for a, b in pairwise(starts))


def test_ops_that_the_host_cannot_run_go_elsewhere() -> None:
    workload = chains(host_ms=np.inf)
    problem = searched(problem_of(workload, box(), 32))
    assert np.isfinite(problem.best_value)
    assert (problem.best[::2] != 0).all()


def test_same_seed_same_history_and_another_seed_another_placement() -> None:
    runs = [searched(problem_of(chains(), box(), 200), seed) for seed in (1, 1, 2)]
    steps = [[(step.evaluations, step.value) for step in run.history] for run in runs]
    assert steps[0] == steps[1]
    assert np.array_equal(runs[0].best, runs[1].best)
    assert not np.array_equal(runs[0].best, runs[2].best)


def test_placements_that_do_not_fit_become_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(chains(), box(host_bytes=48_000.0), 480)
    batches = noting_batches(problem, monkeypatch)
    searched(problem)
    fits = [np.isfinite(batch).mean() for batch in batches]
    assert np.isfinite(problem.best_value)
    assert fits[0] < 0.6 < 0.8 < np.mean(fits[-5:])


def test_nothing_feasible_and_nothing_to_pay_leave_the_training_finite() -> None:
    nowhere = searched(problem_of(chains(), box(host_bytes=1.0, gpu_bytes=1.0), 64))
    assert not len(nowhere.best)
    assert nowhere.evaluations == 64
    ops = np.arange(6)
    free = Workload.of(
        "free", ("cpu", "gpu"), np.zeros((6, 2)), np.stack([ops[:-1], ops[1:]], axis=1), output_bytes=np.zeros(6)
    )
    assert searched(problem_of(free, box(), 64, objective="sequential")).best_value >= 0


def test_torch_keeps_its_random_state_and_its_threads() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    searched(problem_of(chains(), box(), 32))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_without_torch_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tvm_go.search.placement._hdp_training", raising=False)
    monkeypatch.delitem(sys.modules, "tvm_go.search.placement._hdp_networks", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"pip install 'tvm-go\[torch\]'"):
        searched(problem_of(chains(), box(), 32))


def test_sampled_devices_have_the_chances_that_training_assumes() -> None:
    generator = torch.Generator().manual_seed(0)
    placer = Placer(10, 3)
    initialise(placer, generator)
    samples = 20_000
    with torch.no_grad():
        for parameter in placer.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        read = placer.encode(torch.randn(1, 4, 10, generator=generator)).expand(samples, -1, -1)
        empty = torch.zeros(samples, 4, dtype=torch.bool)
        empty[:, 1] = True
        device = placer.sample(read, empty, generator)
        chance = placer(read, device).exp()
    assert (device[:, 1] == placer.start).all()
    for group in (0, 2, 3):
        counts = np.bincount(device[:, group].numpy(), minlength=3) / samples
        assert counts == pytest.approx(chance[:, group].mean(0).numpy(), abs=0.015)


def test_group_embeddings_count_members_and_what_travels_between_groups() -> None:
    classes = classes_of(chains(count=1, length=4), box())
    (embedding,) = group_embeddings(classes, np.array([[0, 0, 2, 2]]), 3)
    width = classes.features.shape[1]
    assert embedding[0, :width] == pytest.approx(classes.features[:2].mean(0), abs=1e-6)
    assert embedding[:, width] == pytest.approx(np.log1p([2, 0, 2]))
    sent, got = np.expm1(embedding[:, width + 1 : width + 4]), np.expm1(embedding[:, width + 4 :])
    assert sent == pytest.approx(np.array([[1, 0, 1], [0, 0, 0], [0, 0, 1]]), abs=1e-5)
    assert np.array_equal(sent.T, got)
    assert not embedding[1].any()


def test_features_are_finite_where_costs_are_zero_or_infinite() -> None:
    workload = Workload.of(
        "odd", ("cpu", "gpu"), np.array([[0.0, np.inf], [np.inf, 0.0]]), np.empty((0, 2), int), output_bytes=np.zeros(2)
    )
    classes = classes_of(workload, box())
    assert np.isfinite(classes.features).all()
    assert classes.fallback.tolist() == [0, 1]
