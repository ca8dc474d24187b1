"""Small random graphs on small machines, for tests of the policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tvm_go.policy import GraphInput, Policy, PolicyConfig, graph_input
from tvm_go.simulate import Device, Machine, Workload

SMALL = PolicyConfig(tasks=("placement", "schedule"), width=16, graph_layers=2, heads=2, segment=8)


def random_workload(rng: np.random.Generator, num_ops: int = 20) -> Workload:
    """Some ops in classes, some that only a CPU can run, a few that cost nothing."""
    op_ms = rng.exponential(1.0, (num_ops, 2)) * np.array([5.0, 1.0]) * rng.integers(0, 6, (num_ops, 1)).clip(max=1)
    op_ms[rng.random(num_ops) < 0.1, 1] = np.inf
    pairs = np.argwhere(np.triu(rng.random((num_ops, num_ops)) < 3 / num_ops, 1))
    return Workload.of(
        "random",
        ("cpu", "gpu"),
        op_ms,
        pairs,
        output_bytes=rng.exponential(1e6, num_ops),
        resident_bytes=rng.exponential(1e7, num_ops) * (rng.random(num_ops) < 0.5),
        colocation=np.where(rng.random(num_ops) < 0.4, rng.integers(0, 4, num_ops), -1),
    )


def machine_of(gpus: int, memory_bytes: float = 1e8) -> Machine:
    """A CPU and some alike GPUs."""
    devices = (Device("cpu", "cpu"), *(Device(f"gpu{i}", "gpu", memory_bytes) for i in range(gpus)))
    return Machine.uniform("box", devices, bytes_per_ms=1e6, latency_ms=0.01)


def random_input(seed: int, *, num_ops: int = 20, gpus: int = 2) -> GraphInput:
    """A `random_workload` as the policy takes it."""
    return graph_input(random_workload(np.random.default_rng(seed), num_ops), machine_of(gpus))


def policy_of(**changes: Any) -> Policy:
    """A small policy; what differs from `SMALL` is given by name."""
    return Policy(replace(SMALL, **changes))


def generator(seed: int = 0) -> torch.Generator:
    """For draws."""
    return torch.Generator().manual_seed(seed)
