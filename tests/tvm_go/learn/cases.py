"""Small problems to learn from whose best placements are known."""

from __future__ import annotations

import numpy as np

from tvm_go.learn.lesson import Lesson, prepare_lesson
from tvm_go.policy import Policy, PolicyConfig
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate import Device, Machine, Workload


def chains(
    count: int = 2, length: int = 6, *, name: str = "chains", colocated: int = 1, transfer_ms: float = 10.0
) -> Workload:
    """Chains that never meet; if tensors are dear to move, a chain belongs on one device."""
    ops = np.arange(count * length)
    return Workload.of(
        name,
        ("gpu", "cpu"),
        np.array([[1.0, 5.0]]).repeat(len(ops), axis=0),
        np.stack([ops[:-1], ops[1:]], axis=1)[ops[1:] % length != 0],
        output_bytes=np.full(len(ops), 1000.0 * transfer_ms),
        resident_bytes=np.full(len(ops), 1000.0),
        colocation=ops // colocated,
    )


def gpus(count: int = 2, memory_bytes: float = float("inf")) -> Machine:
    devices = tuple(Device(f"gpu{i}", "gpu", memory_bytes) for i in range(count))
    return Machine.uniform(f"{count} gpus", devices, bytes_per_ms=1000.0)


def gpu_and_host() -> Machine:
    """The host takes five times as long."""
    return Machine.uniform("gpu and host", (Device("gpu", "gpu"), Device("host", "cpu")), bytes_per_ms=1000.0)


def lesson_of(workload: Workload, machine: Machine, seed: int = 0) -> Lesson:
    return prepare_lesson(workload, machine, "concurrent", evaluations=300, rng=np.random.default_rng(seed))


def problem_of(workload: Workload, machine: Machine, evaluations: int) -> PlacementProblem:
    return PlacementProblem(workload, machine, "concurrent", PlacementBudget(evaluations))


def small_policy(seed: int = 0, *, tasks: tuple[str, ...] = ("placement",), rounds: int = 1) -> Policy:
    return Policy(PolicyConfig(tasks=tasks, width=16, graph_layers=2, heads=2, segment=16, rounds=rounds), seed)


def random_best_ms(problem: PlacementProblem, seed: int = 0) -> float:
    """The best of as many random placements as the budget allows."""
    shape = (problem.budget.evaluations, problem.workload.num_classes)
    drawn = np.random.default_rng(seed).integers(0, problem.machine.num_devices, shape, dtype=np.int32)
    problem.evaluate(drawn[:, problem.workload.colocation])
    return problem.best_value
