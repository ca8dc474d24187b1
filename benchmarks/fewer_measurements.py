"""What a cost model saves in a search: `python -m benchmarks.fewer_measurements [MODEL...]`.

Each model is searched with all kernels measured, and again with a cost model that has not seen it. A kernel that both
ask for is measured once, so that they differ by what they ask. Counted are kernels whose time is not predicted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.collect_kernels import plans_file
from benchmarks.cost_model import split
from benchmarks.cost_model_plots import search_curves
from benchmarks.zoo import load
from cost_model.dataset import dataset
from cost_model.kernel_result import KernelResult
from cost_model.kernel_task import KernelTask
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from cost_model.predictor import Predictor
from cost_model.probes import measure_probes
from cost_model.provenance import host_cpu
from cost_model.regressor import CostModel
from cost_model.served_device import ServedDevice
from relay_passes.targets import as_target
from tuning_logs import TuningLog
from tuning_logs.files import kernels_of
from tvm_go.candidates import Candidates
from tvm_go.problems import problem_of
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem, strategy

MODELS = ("squeezenet", "shufflenet", "mobilenet", "bert2", "vit_tiny", "lstm")


class Remembering:
    """A measurer that measures nothing twice."""

    def __init__(self, measurer: Measurer) -> None:
        self.measurer = measurer
        self.results: dict[str, KernelResult] = {}

    def served(self) -> ServedDevice:
        return self.measurer.served()

    def measure(self, tasks: Sequence[KernelTask]) -> Iterator[KernelResult]:
        new = [task for task in tasks if task.key not in self.results]
        self.results.update((result.key, result) for result in self.measurer.measure(new))
        return (self.results[task.key] for task in tasks)


def search(
    name: str, candidates: Candidates, oracle: KernelOracle, budget: int, seed: int
) -> tuple[float, int, list[tuple[int, float]]]:
    """Milliseconds of the best partition's kernels, kernels measured for it, and both along the way."""
    along: list[tuple[int, float]] = []

    def follow(problem: Problem) -> None:
        along.append((len(oracle.answers), problem.best_ms))

    problem = problem_of(candidates.models[-1], oracle, rule_set("open"), Budget(budget), on_progress=follow)
    problem.cost_default()
    strategy("annealing")(problem, np.random.default_rng(seed))
    follow(problem)
    return problem.best_ms, len(oracle.answers), along


def main() -> None:
    """Print the table, and write and plot what was found along the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--kernels", type=Path, default=Path("build/kernels.jsonl"), help="to learn from")
    parser.add_argument("--curves", type=Path, default=Path("build/fewer_measurements.json"))
    parser.add_argument("--plot", type=Path, default=Path("build/plots/fewer_measurements.png"))
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    target = as_target("native")
    records = kernels_of(args.kernels)
    data, plans = dataset(records), json.loads(plans_file(args.kernels).read_text())
    console, curves = Console(width=160), {}
    table = Table(title=f"annealing, {args.budget} kernels, {args.seeds} seeds", title_justify="left")
    for column in ("model", "ms, all measured", "ms, with the model", "ratio", "measured", "with the model", "share"):
        table.add_column(column, justify="left" if column == "model" else "right")
    with Measurer(target=str(target)) as real:
        measurer = cast(Measurer, Remembering(real))
        for name in args.models:
            zoo = load(name)
            candidates = Candidates.prepare(zoo.mod, zoo.params, target, vary=True, known={})
            regressor = CostModel.fit(split(data, name, plans.get(name, []))[0])
            rows = []
            for seed in range(args.seeds):
                for predicted in (False, True):
                    log = TuningLog(Path(tempfile.mkdtemp()) / "log.jsonl")
                    oracle = KernelOracle(str(target), measurer, log, model=name)
                    measure_probes(oracle)
                    if predicted:
                        oracle.predictor = Predictor(regressor, str(target), host_cpu(), log.kernel_records)
                    ms, count, along = search(name, candidates, oracle, args.budget, seed)
                    rows.append((ms, count))
                    curves[f"{name} {seed} {'predicted' if predicted else 'measured'}"] = along
            (all_ms, all_count), (ms, count) = np.mean(rows[::2], axis=0), np.mean(rows[1::2], axis=0)
            table.add_row(name, f"{all_ms:.4f}", f"{ms:.4f}", f"{ms / all_ms:.3f}", f"{all_count:.0f}",
                          f"{count:.0f}", f"{count / all_count:.2f}")  # fmt: skip
            console.print(table)  # it takes minutes for each model
            args.curves.write_text(json.dumps(curves))
    search_curves(args.plot, curves)


if __name__ == "__main__":
    main()
