"""Small random workloads on a host with accelerators, and every placement of them."""

from __future__ import annotations

import itertools

import numpy as np

from tvm_go.graph import Int32
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate import Device, Machine, Workload


def random_case(rng: np.random.Generator, *, most_ops: int = 8) -> tuple[Workload, Machine]:
    """Ties, free tensors, ops without work, classes, ops that no accelerator can run; memory for half of the bytes."""
    count = int(rng.integers(2, most_ops + 1))
    op_ms = np.stack([rng.integers(0, 30, count), rng.integers(0, 4, count)], axis=1).astype(np.float64)
    op_ms[rng.random(count) < 0.1, 1] = np.inf
    edges = [(i, j) for j in range(count) for i in range(j) if rng.random() < 0.35]
    resident_bytes = rng.integers(0, 5, count).astype(np.float64)
    workload = Workload.of(
        "random",
        ("cpu", "accelerator"),
        op_ms,
        np.array(edges, dtype=np.int64).reshape(-1, 2),
        output_bytes=rng.integers(0, 6, count).astype(np.float64),
        resident_bytes=resident_bytes,
        colocation=np.where(rng.random(count) < 0.4, rng.integers(0, 3, count), -1),
    )
    limit = float(np.ceil(resident_bytes.sum() / 2))
    devices = (Device("host", "cpu"), *(Device(f"a{i}", "accelerator", limit) for i in range(2)))
    return workload, Machine.uniform("small", devices, bytes_per_ms=1.0, contend=False)


def brute_force(workload: Workload, machine: Machine) -> Int32:
    """Every placement that keeps colocation: int32 [B, N]."""
    rows = itertools.product(range(machine.num_devices), repeat=workload.num_classes)
    return np.array(list(rows), dtype=np.int32)[:, workload.colocation]


def problem_of(workload: Workload, machine: Machine, objective: str, *, evaluations: int) -> PlacementProblem:
    return PlacementProblem(workload, machine, objective, PlacementBudget(evaluations=evaluations))
