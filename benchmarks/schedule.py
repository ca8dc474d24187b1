"""Memory and makespan by the order of kernels: `python -m benchmarks.schedule [MODEL...]`.

Memory of one device: what TVM's planner sets aside for what kernels make, in its own order and in ours, as read from
the graph that it generates for each. Kernels are those of TVM's own fusion.

Makespan of two devices: generated training graphs, each kernel where an expert would place it, or at random.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import tvm
from rich.console import Console
from rich.table import Table
from tvm import relay

from benchmarks.zoo import LIGHT_ONNX, load
from relay_passes.dataflow import read
from relay_passes.ordering import graph_without_code, in_order, kernel_tensors, planned_memory
from relay_passes.prepare import prepare
from relay_passes.stack import with_deep_stack
from relay_passes.targets import as_target, build_scopes
from tvm_go.search.placement import expert
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.search.scheduling import (
    SCHEDULING_STRATEGIES,
    SchedulingProblem,
    makespan_problem,
    memory_problem,
    scheduling_strategy,
)
from tvm_go.simulate.families import generate
from tvm_go.simulate.kernel_tensors import KernelTensors
from tvm_go.simulate.machines import NVLINK2, V100, box
from tvm_go.simulate.peak_memory import least_peak_bytes, peak_bytes, planned_bytes

_BUDGET = PlacementBudget(evaluations=200_000, seconds=20.0)
_FAMILIES = ("inception", "amoebanet", "gnmt", "gpt")
_NAMES = tuple(SCHEDULING_STRATEGIES)


@dataclass(frozen=True)
class MemoryRow:
    """Bytes of one model: by TVM's plan before and after, and by strategy, searched for each of the two measures."""

    model: str
    kernels: int
    tvm_before: int
    tvm_after: int
    planned: dict[str, int]
    peak: dict[str, int]
    least_peak: int


def fused(mod: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """A prepared module with TVM's own kernels."""

    def body() -> tvm.IRModule:
        with build_scopes(target):
            steps = [relay.transform.FuseOps(), relay.transform.InferType()]
            return tvm.transform.Sequential(steps)(mod)

    return with_deep_stack(body)


def measure(name: str, target_text: str) -> MemoryRow:
    """Search, and let TVM plan its own order and the best one."""
    target = as_target(target_text)
    model = load(name)
    mod = fused(prepare(model.mod, model.params, target=target), target)
    tensors = kernel_tensors(read(mod))
    found: dict[str, dict[str, int]] = {}
    orders = {}
    for objective in ("peak", "planned"):
        found[objective] = {}
        for strategy in SCHEDULING_STRATEGIES:
            problem = memory_problem(tensors, objective, _BUDGET)
            scheduling_strategy(strategy)(problem, np.random.default_rng(0))
            found[objective][strategy] = int(problem.best_value)
            orders[objective, strategy] = problem.best_order
    order = orders["planned", "annealing"]
    before = planned_memory(graph_without_code(mod, target)).kernel_bytes
    after = planned_memory(graph_without_code(in_order(mod, order), target)).kernel_bytes
    assert before == planned_bytes(tensors, np.arange(tensors.num_kernels, dtype=np.int32)), "TVM plans otherwise"
    assert after == planned_bytes(tensors, order), "TVM plans otherwise"
    assert found["peak"]["topological"] == peak_bytes(tensors, np.arange(tensors.num_kernels, dtype=np.int32))
    return MemoryRow(
        name, tensors.num_kernels, before, after, found["planned"], found["peak"], least_peak_bytes(tensors)
    )


def memory_table(rows: list[MemoryRow]) -> Table:
    """One line per model."""
    table = Table(title="Bytes for what kernels make: planned by TVM, and alive at once")
    others = [name for name in SCHEDULING_STRATEGIES if name != "topological"]
    heads = ["model", "kernels", "TVM before", "TVM after", "less"]
    heads += [f"planned: {name}" for name in others]
    heads += ["peak: topological", *(f"peak: {name}" for name in others), "least peak"]
    for head in heads:
        table.add_column(head, justify="right", overflow="fold")
    for row in rows:
        cells = [row.model, str(row.kernels), f"{row.tvm_before:,}", f"{row.tvm_after:,}"]
        cells.append(f"{1 - row.tvm_after / row.tvm_before:.1%}")
        cells += [f"{row.planned[name]:,}" for name in others]
        cells += [f"{value:,}" for value in row.peak.values()]
        table.add_row(*cells, f"{row.least_peak:,}")
    return table


def device_table(sizes: list[int]) -> Table:
    """Makespan on two devices, and peak memory on one, of generated training graphs."""
    table = Table(title="Training graphs: makespan on two V100, ms; peak on one device, GB; seconds of the strategy")
    for head in ("graph", "ops", "placement", *SCHEDULING_STRATEGIES):
        table.add_column(head, justify="right", overflow="fold")
    roomy = replace(V100, memory_bytes=float("inf"))  # only the order is looked at
    machine = box("two V100", [roomy, roomy], NVLINK2)
    for family in _FAMILIES:
        for size in sizes:
            rng = np.random.default_rng(0)
            workload = generate(family, size, rng, training=True).workload([V100])
            by_expert = PlacementProblem(workload, machine, "concurrent")
            expert.search(by_expert, rng)
            anywhere = rng.integers(0, 2, size=workload.num_classes, dtype=np.int32)[workload.colocation]
            placements = {"expert": by_expert.best, "random": anywhere}
            count = f"{workload.num_ops:,}"
            for placement, device in placements.items():
                cells = [_cell(name, makespan_problem(workload, machine, device, _BUDGET), 1.0) for name in _NAMES]
                table.add_row(family, count, placement, *cells)
            tensors = KernelTensors.of_workload(workload)
            cells = [_cell(name, memory_problem(tensors, "peak", _BUDGET), 1e9) for name in _NAMES]
            table.add_row(family, count, "one device", *cells)
    return table


def _cell(strategy: str, problem: SchedulingProblem, unit: float) -> str:
    start = time.perf_counter()
    scheduling_strategy(strategy)(problem, np.random.default_rng(0))
    return f"{problem.best_value / unit:.3f} ({time.perf_counter() - start:.1f} s)"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=LIGHT_ONNX, metavar="MODEL", help=", ".join(LIGHT_ONNX))
    parser.add_argument("--target", default="llvm")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 80_000], help="ops of the generated graphs")
    args = parser.parse_args()
    console = Console(width=220)
    console.print(device_table(args.sizes))
    rows = []
    for name in args.models:  # each in a process of its own: TVM keeps what it has lowered
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            rows.append(pool.submit(measure, name, args.target).result())
        console.print(f"{rows[-1].model}: {rows[-1].tvm_before:,} -> {rows[-1].tvm_after:,} bytes")
    console.print(memory_table(rows))


if __name__ == "__main__":
    main()
