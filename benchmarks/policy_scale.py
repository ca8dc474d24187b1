"""Time and memory of the policy network by graph size: `python -m benchmarks.policy_scale`.

Each figure comes from a process of its own, so that its peak is its own: features of a workload and of a draft that
cuts it into equal parts, then one forward pass that draws a move, or one training step (score and backward). With
`--whole` there is no draft: all ops are placed and ordered at once, in two rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.simulate import layered
from tvm_go.policy import Draft, Policy, PolicyConfig, graph_input
from tvm_go.simulate import Device, Machine


class Figures(NamedTuple):
    """Of one run: seconds, and the peak of the process."""

    ops: int
    edges: int
    features_seconds: float
    seconds: float
    peak_bytes: float


def measure(num_ops: int, devices: int, whole: bool, train: bool) -> Figures:
    """Run once in this process; numba and torch are warmed up on a small graph first."""
    policy = Policy(PolicyConfig(tasks=("placement", "schedule") if whole else ("placement",)))
    machine = Machine.uniform(
        "benchmark", tuple(Device(f"gpu{i}", "gpu", 1e15) for i in range(devices)), bytes_per_ms=12e6, latency_ms=0.01
    )
    for size in (200, num_ops):
        workload = layered(size, np.random.default_rng(0))
        start = time.perf_counter()
        parts = (np.arange(size) * devices // size).astype(np.int32)
        draft = None if whole else Draft(parts[workload.class_first][workload.colocation], np.empty(0, dtype=np.int64))
        graph = graph_input(workload, machine, "concurrent", draft)
        described = time.perf_counter()
        actions = policy.act(graph, 1, torch.Generator().manual_seed(0), greedy=True)
        if train:
            described_again = time.perf_counter()
            score = policy.score(graph, actions)
            (score.log_prob.sum() + score.entropy.sum() + score.value.sum()).backward()
            seconds = time.perf_counter() - described_again
        else:
            seconds = time.perf_counter() - described
        found = Figures(size, workload.num_edges, described - start, seconds, 0.0)
    return found._replace(peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0)


def exponent(found: list[Figures]) -> float:
    """Slope of log seconds over log ops, from 10,000 ops on, where fixed costs no longer count."""
    large = [one for one in found if one.ops >= 10_000]
    if len(large) < 2:
        return float("nan")
    return float(np.polyfit(np.log([one.ops for one in large]), np.log([one.seconds for one in large]), 1)[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 80_000, 1_000_000])
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--whole", action="store_true", help="placement and order of all ops at once, without a draft")
    args = parser.parse_args()
    table = Table("run", "ops", "edges", "features, s", "seconds", "us per op", "peak GiB", "exponent of time")
    for train in (False, True):
        found = []
        for size in args.sizes:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                one = pool.apply(measure, (size, args.devices, args.whole, train))
            found.append(one)
            table.add_row(
                "training step" if train else "forward",
                f"{one.ops:,}",
                f"{one.edges:,}",
                f"{one.features_seconds:.2f}",
                f"{one.seconds:.2f}",
                f"{one.seconds / one.ops * 1e6:.1f}",
                f"{one.peak_bytes / 2**30:.2f}",
                f"{exponent(found):.2f}" if size == args.sizes[-1] else "",
            )
    console = Console(width=120)
    console.print(f"{args.devices} devices, {torch.get_num_threads()} threads")
    console.print(table)


if __name__ == "__main__":
    main()
