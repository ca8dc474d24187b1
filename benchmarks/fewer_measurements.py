"""What a cost model saves in a search: `python -m benchmarks.fewer_measurements [MODEL...]`.

Each model is searched with all kernels measured, and again with a cost model that has not seen it. A kernel that both
ask for is measured once, so that they differ by what they ask. Counted are measurements: of a kernel in a lowering. The
search with the cost model is as good once its best plan takes no more than 1 % longer than what the other ended with.
Started again with the same folder, it learns, measures and searches only what is missing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.collect_kernels import SHIPPED, plans_of
from benchmarks.cost_model import split
from benchmarks.cost_model_plots import search_curves
from benchmarks.own_process import CORES
from benchmarks.zoo import load
from cost_model.dataset import Dataset, dataset
from cost_model.kernel_result import ErrorKind, KernelResult
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
from tuning_logs.files import kernels_of, write_whole
from tvm_go.candidates import Candidates
from tvm_go.problems import problem_of
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem, strategy

MODELS = ("squeezenet", "shufflenet", "mobilenet", "bert2", "vit_tiny", "lstm")


_AS_GOOD = 1.01
_WAYS = ("measured", "predicted")
Curve = Sequence[tuple[int, float]]
"""Measurements so far, and milliseconds of the best plan's kernels."""


class Remembering:
    """A measurer that measures nothing twice: results are kept in a file, a line of JSON each."""

    def __init__(self, measurer: Measurer, file: Path) -> None:
        self.measurer = measurer
        self.file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.results = {result.key: result for result in map(_result_of, lines)}

    def served(self) -> ServedDevice:
        return self.measurer.served()

    def measure(self, tasks: Sequence[KernelTask]) -> Iterator[KernelResult]:
        new = [task for task in tasks if task.key not in self.results]
        for result in self.measurer.measure(new):
            self.results[result.key] = result
            with self.file.open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")
        return (self.results[task.key] for task in tasks)


def _result_of(line: str) -> KernelResult:
    values = json.loads(line)
    kind = values["error_kind"] and ErrorKind(values["error_kind"])
    return KernelResult(**values | {"error_kind": kind, "times_ms": tuple(values["times_ms"])})


def search(name: str, candidates: Candidates, oracle: KernelOracle, budget: int, seed: int) -> Curve:
    """Search the best partition of a model, the default one first."""
    along: list[tuple[int, float]] = []
    before = oracle.measured

    def follow(problem: Problem) -> None:
        along.append((oracle.measured - before, problem.best_ms))

    problem = problem_of(candidates.models[-1], oracle, rule_set("open"), Budget(budget), on_progress=follow)
    problem.cost_default()
    strategy("annealing")(problem, np.random.default_rng(seed))
    follow(problem)
    return along


def model_without(name: str, data: Dataset, plans: list[list[str]], folder: Path) -> CostModel:
    """A cost model that has not seen a model, nor a kernel that plans of it have; kept in the folder."""
    file = folder / f"{name}.model"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        CostModel.fit(split(data, name, plans)[0]).save(file)
    return CostModel.load(file)


def measurements_until(curve: Curve, ms: float) -> float:
    """Measurements after which a search had a plan that takes no more; ``inf`` if it never had."""
    return next((count for count, best_ms in curve if best_ms <= ms), math.inf)


def summary(curves: Mapping[str, Curve]) -> Table:
    """What the searches of each model gave, means of its seeds; how soon they were as good are medians."""
    table = Table(title="annealing", title_justify="left")
    for column in ("model", "seeds", "ms, all measured", "measurements", "as good after", "ms with the model, ratio",
                   "measurements", "as good after", "share of all"):  # fmt: skip
        table.add_column(column, justify="left" if column == "model" else "right")
    for name in dict.fromkeys(key.split()[0] for key in curves):
        seeds = [key.split()[1] for key in curves if key.split()[::2] == [name, _WAYS[1]]]
        if not seeds:
            continue
        everything, predicted = ([curves[f"{name} {seed} {way}"] for seed in seeds] for way in _WAYS)
        all_count, all_ms = np.array([curve[-1] for curve in everything]).T
        count, ms = np.array([curve[-1] for curve in predicted]).T
        goals = (_AS_GOOD * all_ms).tolist()
        without, until = (
            np.array([measurements_until(curve, goal) for curve, goal in zip(curves_of_way, goals, strict=True)])
            for curves_of_way in (everything, predicted)
        )
        table.add_row(name, f"{len(seeds)}", f"{all_ms.mean():.4f}", f"{all_count.mean():.0f}",
                      f"{np.median(without):.0f}", f"{np.mean(ms / all_ms):.3f}", f"{count.mean():.0f}",
                      f"{np.median(until):.0f}", f"{np.median(until / all_count):.2f}")  # fmt: skip
    return table


def main() -> None:
    """Print the table, and write and plot what was found along the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--kernels", type=Path, default=SHIPPED, help="to learn from; default: what ships")
    parser.add_argument("--folder", type=Path, default=Path("build/fewer_measurements"), help="default: %(default)s")
    parser.add_argument("--plot", type=Path, default=Path("build/plots/fewer_measurements.png"))
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    target = as_target("native")
    data, plans = dataset(kernels_of(args.kernels)), plans_of(args.kernels)
    console, file = Console(width=160), args.folder / f"budget{args.budget}.json"
    regressors = {name: model_without(name, data, plans.get(name, []), args.folder) for name in args.models}
    curves: dict[str, Curve] = json.loads(file.read_text()) if file.exists() else {}
    with Measurer(target=str(target)) as real:
        measurer = cast(Measurer, Remembering(real, args.folder / "measured.jsonl"))
        for name in args.models:
            missing = [
                (seed, way) for seed in range(args.seeds) for way in _WAYS if f"{name} {seed} {way}" not in curves
            ]
            if not missing:
                continue
            zoo = load(name)
            candidates = Candidates.prepare(zoo.mod, zoo.params, target, vary=True, known={})
            os.sched_setaffinity(0, CORES)  # TVM may have bound this thread to one core, which workers would inherit
            for seed, way in missing:
                with tempfile.TemporaryDirectory() as log_folder:
                    log = TuningLog(Path(log_folder) / "log.jsonl")
                    oracle = KernelOracle(str(target), measurer, log, model=name)
                    measure_probes(oracle)
                    if way == "predicted":
                        oracle.predictor = Predictor(regressors[name], str(target), host_cpu(), log.kernel_records)
                    curves[f"{name} {seed} {way}"] = search(name, candidates, oracle, args.budget, seed)
                write_whole(file, json.dumps(curves).encode())
                console.print(f"{name} {seed} {way}: {curves[f'{name} {seed} {way}'][-1]}", highlight=False)
    console.print(summary(curves))
    search_curves(args.plot, curves)


if __name__ == "__main__":
    main()
