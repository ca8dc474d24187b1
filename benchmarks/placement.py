"""Placements of generated graphs on simulated GPUs: `python -m benchmarks.placement [--json]`.

One table for each number of devices: the makespan under ``concurrent`` of every strategy on every family, forward and
training, on NVIDIA P100 GPUs joined by PCI Express. Memory is so tight that one device does not hold the graph, where a
cut into equal parts needs less than one device; elsewhere (marked *) it is that of the data sheet. Then the time of one
evaluation by graph size.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tvm_go.errors import UsageError
from tvm_go.search.placement import QUICK, UNLIMITED, PlacementBudget, PlacementProblem
from tvm_go.search.placement import strategy as strategy_named
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.execution import execute
from tvm_go.simulate.families import FAMILIES, generate
from tvm_go.simulate.machines import P100, PCIE3, box, tight
from tvm_go.simulate.objectives import evaluate

STRATEGIES = (*QUICK, "annealing", "local_search", "hdp", "portfolio")
_GIB = 2.0**30
_REFERENCE = "expert"
_WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """One strategy on one graph; makespan and memory are None where it found nothing feasible."""

    workload: str
    ops: int
    devices: int
    tight: bool
    strategy: str
    makespan_ms: float | None
    seconds: float
    peak_bytes: float | None


def placed(workload: Workload, machine: Machine, is_tight: bool, strategy: str, seconds: float) -> Row:
    """Run a strategy, and look at what it found in detail."""
    problem = PlacementProblem(workload, machine, "concurrent", PlacementBudget(UNLIMITED, seconds))
    strategy_named(strategy)(problem, np.random.default_rng(0))
    spent, peak_bytes = problem.seconds, None
    if np.isfinite(problem.best_value):
        priority = problem.best_priority if len(problem.best_priority) else None
        peak_bytes = float(execute(workload, machine, "concurrent", problem.best, priority).peak_bytes.max())
    makespan = problem.best_value if peak_bytes is not None else None
    return Row(workload.name, workload.num_ops, machine.num_devices, is_tight, strategy, makespan, spent, peak_bytes)


def machine_for(workload: Workload, devices: int) -> tuple[Machine, bool]:
    """A box of GPUs, and whether its memory could be made tight."""
    machine = box(f"{devices} P100", [P100] * devices, PCIE3)
    try:
        return tight(machine, workload), True
    except UsageError:
        return machine, False


def rows(num_ops: int, devices: list[int], seconds: float) -> Iterator[Row]:
    """Every family, forward and training, on every number of devices, by every strategy."""
    warm_up = generate("rnnlm", 200, np.random.default_rng(0)).workload([P100])
    for strategy in STRATEGIES:  # compiles, so that no time below is that of the compiler
        placed(warm_up, box("warm-up", [P100] * 2, PCIE3), False, strategy, _WARM_UP_SECONDS)
    for family in FAMILIES:
        for training in (False, True):
            graph = generate(family, num_ops, np.random.default_rng(0), training=training)
            workload = graph.workload([P100])
            for count in devices:
                machine, is_tight = machine_for(workload, count)
                for strategy in STRATEGIES:
                    yield placed(workload, machine, is_tight, strategy, seconds)


def table_of(found: list[Row], devices: int) -> Table:
    """Makespan, planning time and largest peak of each strategy; last, geometric means of speed-ups over `expert`."""
    table = Table(title=f"{devices} P100 over PCIe 3: makespan ms | plan s | peak GiB of the fullest device")
    for column in ("graph", "ops", *STRATEGIES):
        table.add_column(column, justify="left" if column == "graph" else "right")
    here = [row for row in found if row.devices == devices]
    ratios: dict[str, list[float]] = {strategy: [] for strategy in STRATEGIES}
    for name in dict.fromkeys(row.workload for row in here):
        of = {row.strategy: row for row in here if row.workload == name}
        reference = of[_REFERENCE].makespan_ms
        for strategy, row in of.items():
            if reference is not None and row.makespan_ms is not None:
                ratios[strategy].append(reference / row.makespan_ms)
        cells = [_cell(of[strategy]) for strategy in STRATEGIES]
        first = of[_REFERENCE]
        table.add_row(name + ("" if first.tight else " *"), f"{first.ops:,}", *cells)
    means = [f"{math.exp(np.log(r).mean()):.3f} of {len(r)}" if r else "-" for r in ratios.values()]
    table.add_row(f"{_REFERENCE} / strategy, geomean", "", *means, end_section=True)
    return table


def _cell(row: Row) -> str:
    if row.makespan_ms is None or row.peak_bytes is None:
        return f"infeasible | {row.seconds:.2f}"
    return f"{row.makespan_ms:.1f} | {row.seconds:.2f} | {row.peak_bytes / _GIB:.2f}"


def evaluation_times(sizes: list[int]) -> list[dict[str, float]]:
    """Milliseconds of one evaluation on eight devices, the quicker of two, on a WaveNet that trains."""
    result = []
    for size in sizes:
        workload = generate("wavenet", size, np.random.default_rng(0), training=True).workload([P100])
        machine = box("8 P100", [P100] * 8, PCIE3)
        devices = (workload.colocation.astype(np.int64) * 8 // workload.num_classes).astype(np.int32)[None]
        times = []
        for _ in range(3):  # the first one also gathers the costs
            start = time.perf_counter()
            evaluate(workload, machine, "concurrent", devices)
            times.append(time.perf_counter() - start)
        result.append({"ops": workload.num_ops, "edges": workload.num_edges, "ms": min(times[1:]) * 1e3})
    return result


def main() -> None:
    """Print the tables, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", type=int, default=5_000, help="size of each graph (5000)")
    parser.add_argument("--devices", type=int, nargs="+", default=[2, 4, 8], help="numbers of devices (2 4 8)")
    parser.add_argument("--seconds", type=float, default=3.0, help="budget of each strategy (3)")
    parser.add_argument("--evaluate", type=int, nargs="*", default=[1_000, 10_000, 80_000, 1_000_000])
    parser.add_argument("--json", action="store_true", help="one object on stdout instead of tables")
    args = parser.parse_args()
    total = len(FAMILIES) * 2 * len(args.devices) * len(STRATEGIES)
    progress = Console(stderr=True)
    found = list(track(rows(args.ops, args.devices, args.seconds), "placing", total, console=progress))
    times = evaluation_times(args.evaluate)
    if args.json:
        print(json.dumps({"placements": [asdict(row) for row in found], "evaluations": times}))
        return
    console = Console(width=260)
    for count in args.devices:
        console.print(table_of(found, count))
    table = Table(title="One evaluation under concurrent, 8 devices")
    for column in ("ops", "edges", "ms", "million op-evaluations per second"):
        table.add_column(column, justify="right")
    for row in times:
        speed = row["ops"] / row["ms"] / 1e3
        table.add_row(f"{row['ops']:,}", f"{row['edges']:,}", f"{row['ms']:.2f}", f"{speed:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
