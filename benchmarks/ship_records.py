"""Tune the kernels of the README's models, and write what the package ships: `python -m benchmarks.ship_records`.

Goes on from its log when it is called again. Files are written after each model, whole or not at all; records of
kernels that this log does not know are kept.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.own_process import CORES
from benchmarks.zoo import ALL_NAMES, load
from cost_model.config import MeasureConfig
from cost_model.kernel_tuning import ISAS, Progress, TunableKernel, isa_of, tune_kernels
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from relay_passes.targets import as_target
from tuning_logs import KernelRecord, TuningLog
from tuning_logs.shipped import FOLDER, best_records, lowerings_of, records_for, write_forms, write_records
from tvm_go.candidates import Candidates, fastest
from tvm_go.model import Model
from tvm_go.problems import problem_of
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem, strategy
from tvm_go.tuned_kernels import tunable_kernels
from tvm_go.verification import speedup, verified_in_forms

MODELS = (
    "squeezenet", "shufflenet", "resnet50", "densenet121", "inception_v1", "inception_v2", "mobilenet",
    "bert2", "bert6", "gpt2", "vit_tiny", "lstm", "physics",
)  # fmt: skip
TARGETS = ("native", f"llvm -mcpu=core-avx2 -num-cores={len(CORES)}")


@dataclass(frozen=True)
class Effort:
    """What may be spent on one model and target.

    Attributes
    ----------
    budget : int
        Kernels that the search for forms may ask for, and again the one for a partition.
    trials : int
        Kernel trials.
    seconds : float
        Time for all; the search for forms may take half of it.
    """

    budget: int
    trials: int
    seconds: float = float("inf")


def tune_model(name: str, target: str, log: TuningLog, effort: Effort, seed: int, console: Console) -> dict[str, str]:
    """Choose the forms of a model's ops, then tune its kernels: as fused by default, and as searched.

    Returns the forms that were measured to be best, by key of their unit.
    """
    start = time.monotonic()
    parsed = as_target(target)
    zoo = load(name)
    candidates = Candidates.prepare(zoo.mod, zoo.params, parsed, vary=True, known={})
    os.sched_setaffinity(0, CORES)  # TVM may have bound this thread to one core, which workers would inherit
    isa = isa_of(parsed)
    known = [one for one in records_for(isa) if one.lowering not in log.kernels(one.key, str(parsed))]
    rules = rule_set("open")
    with Measurer(target=str(parsed), config=MeasureConfig(build_timeout_s=10.0)) as measurer:
        oracle = KernelOracle(str(parsed), measurer, log, tuned=lowerings_of(known))

        def left() -> float:
            return effort.seconds - (time.monotonic() - start)

        forms = candidates.search(oracle, rules, Budget(effort.budget, left() / 2), {}, lambda problem: None)
        problems = [
            (problem_of(model, oracle, rules, Budget(effort.budget, left())), model) for model in candidates.models
        ]

        def try_whole(problem: Problem, model: Model) -> float:
            return speedup(verified_in_forms(candidates.default, problem, model, name, oracle))

        problem, model = fastest(problems, try_whole)
        costs = ", ".join(f"{other.default_ms:.3f}" for other, _ in problems)
        console.print(f"{name} {isa}: forms {costs} ms, {time.monotonic() - start:.0f} s", highlight=False)
        if effort.budget:
            strategy("annealing")(problem, np.random.default_rng(seed))

        def tell(progress: Progress) -> None:
            now = f"{progress.spent}/{progress.trials} trials, {progress.before_ms:.3f} -> {progress.now_ms:.3f} ms"
            console.print(f"{name} {isa}: {now}, {time.monotonic() - start:.0f} s", highlight=False)

        tune_kernels(
            wanted(model, problem), oracle, trials=effort.trials, seed=seed, target=parsed, seconds=left(),
            on_progress=tell,
        )  # fmt: skip
    return forms if model is candidates.models[-1] else {}


def wanted(model: Model, problem: Problem) -> list[TunableKernel]:
    """Kernels of the default partition and of the best one; each counts as often as in the one that has more of it."""
    kernels: dict[str, TunableKernel] = {}
    for partition in (problem.default, problem.best):
        for one in tunable_kernels(model, partition, problem.paid_keys(partition)):
            if one.key not in kernels or kernels[one.key].count < one.count:
                kernels[one.key] = one
    return list(kernels.values())


def write(log: TuningLog, folder: Path) -> dict[str, int]:
    """Write one file for each class of instruction sets that the log has; returns their numbers of records."""
    by_isa: dict[str, list[KernelRecord]] = {}
    classes: dict[str, str | None] = {}
    for record in log.load():
        if isinstance(record, KernelRecord):
            isa = classes.setdefault(record.target, isa_of(record.target))
            if isa:
                by_isa.setdefault(isa, []).append(record)
    written = {}
    for isa, records in by_isa.items():
        own = [replace(record, structure=None) for record in best_records(records)]
        keys = {record.key for record in own}
        kept = [record for record in records_for(isa, folder=folder) if record.key not in keys]
        write_records(folder / f"{isa}.jsonl.gz", sorted([*own, *kept], key=lambda record: record.key))
        written[isa] = len(own) + len(kept)
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL", help=", ".join(ALL_NAMES))
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), help="default: this CPU, and any with AVX2")
    parser.add_argument("--trials", type=int, default=1000, help="kernel trials for each model and target")
    parser.add_argument("--budget", type=int, default=150, help="kernels that the search of each model may ask for")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for all, shared out evenly")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("build/ship_records.jsonl"), help="resumes from it")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write")
    args = parser.parse_args(arguments)
    unknown = [target for target in args.targets if isa_of(target) is None]
    if unknown:
        parser.error(f"{unknown[0]} is none of {', '.join(ISAS)}")
    console = Console(width=160)
    log = TuningLog(args.log)
    log.ensure_writable()
    deadline = time.monotonic() + args.seconds
    pairs = [(name, target) for name in args.models for target in args.targets]
    effort = Effort(args.budget, args.trials)
    try:
        for number, (name, target) in enumerate(pairs):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            share = replace(effort, seconds=left / (len(pairs) - number))
            forms = tune_model(name, target, log, share, args.seed, console)
            write_forms(args.folder, str(isa_of(target)), forms)
            console.print(f"{name}: {write(log, args.folder)} records")
    except KeyboardInterrupt:
        console.print("interrupted: what was measured is in the log")
    console.print(f"{args.folder}: {write(log, args.folder)}, {summary(args.folder)}")


def summary(folder: Path) -> str:
    """How many records of each kind of lowering there are."""
    counts = Counter(
        f"{isa} {record.lowering.split()[0]}" for isa in ISAS for record in records_for(isa, folder=folder)
    )
    return ", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items()))


if __name__ == "__main__":
    main()
