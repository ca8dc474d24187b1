"""Fusion of models of families that a policy never saw: `python -m benchmarks.zero_shot_kernels [--json]`.

For each family in turn a policy is trained on all the others and then fuses the models of that family: by its likeliest
plan alone, by the best of that and some that are bolder or shyer, and fine-tuned until three kernels for each of its
decisions were measured beyond the default's, or would be if its predictions led there. `greedy` and `annealing` have
as many kernels; so has fine-tuning of a policy that was never trained. Figures are TVM's default over each, by what is
expected of kernels (see `tvm_go.expected_times`); the best known plan is what changing decisions one after the
other finds without a limit, or any of the others. With
``--measure MODEL...`` the kernels of these models are measured on this machine, as ``tune-graph --cost-model shipped``
would, and those measured count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.kernel_lessons import FAMILIES, MODELS, Case, add_arguments, cases_of, lessons_of, times_of
from benchmarks.train_kernels import trained
from benchmarks.zoo import load
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from cost_model.predictor import Predictor
from cost_model.probes import measure_probes
from cost_model.provenance import host_cpu
from relay_passes.targets import as_target
from tuning_logs import TuningLog
from tvm_go.candidates import Candidates
from tvm_go.expected_times import ExpectedTimes
from tvm_go.learn.fusion import FusionLesson, choices_of, evaluator, likely_plans
from tvm_go.model import Model
from tvm_go.policy import Policy
from tvm_go.policy.edge_choices import units_of
from tvm_go.problems import problem_of
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem, go, strategy
from tvm_go.training_fusion import POLICY, RULES

HELD_OUT = ("ResNet-like", "Inception-like", "BERT", "GPT", "LSTM", "WaveNet", "mixers")
_SEARCHES = ("greedy", "annealing")
COLUMNS = ("likeliest", "zero_shot", "fine_tuned", "untrained", *_SEARCHES, "best_known")

#: A problem with its default known, and so many kernels more to ask for.
NewProblem = Callable[[int], Problem]


@dataclass(frozen=True)
class Row:
    """One model; ``ratios`` are default / found by strategy, ``kernels`` what each had measured beyond the default's.

    Where times are expected, what it would have measured. The best known plan has no limit.
    """

    family: str
    name: str
    default_ms: float
    ratios: dict[str, float]
    kernels: dict[str, int]


def compared(
    family: str, name: str, policy: Policy, known_types: Collection[str], new_problem: NewProblem, per_unit: float
) -> Row:
    """All strategies on one model."""
    ratios: dict[str, float] = {}
    kernels: dict[str, int] = {}
    start = new_problem(0)
    first, extra = start.spent, round(per_unit * _num_units(start))

    def take(column: str, problem: Problem, ms: float) -> None:
        ratios[column], kernels[column] = problem.default_ms / ms, problem.spent - first

    problem = new_problem(extra)
    graph = go.described(problem, known_types)
    likeliest = likely_plans(policy, graph, torch.Generator().manual_seed(0))[:1]
    take("likeliest", problem, float(evaluator(problem, choices_of(graph))(likeliest)[0]))
    go.zero_shot(policy, problem, graph, np.random.default_rng(0))
    take("zero_shot", problem, problem.best_ms)
    for column, own in (("fine_tuned", policy), ("untrained", Policy(POLICY, 0))):
        problem = new_problem(extra)
        go.search_with(own, problem, np.random.default_rng(0), known_types=known_types)
        take(column, problem, problem.best_ms)
    for column in _SEARCHES:
        problem = new_problem(extra)
        strategy(column)(problem, np.random.default_rng(0))
        take(column, problem, problem.best_ms)
    return Row(family, name, problem.default_ms, ratios, kernels)


def rows(
    cases: Sequence[Case],
    lessons: Sequence[FusionLesson],
    times: ExpectedTimes,
    families: Sequence[str],
    per_unit: float,
    seed: int,
) -> Iterator[Row]:
    """Leave each family out in turn."""
    for family in families:
        others = [(case, one) for case, one in zip(cases, lessons, strict=True) if case.model not in FAMILIES[family]]
        policy, record = trained([case for case, _ in others], [one for _, one in others], float("inf"), seed)
        for case, lesson in zip(cases, lessons, strict=True):
            if case.model in FAMILIES[family]:
                row = compared(family, case.name, policy, record["op_types"], partial(_expected, times, case), per_unit)
                row.ratios["best_known"] = max(lesson.reference_ms / lesson.target_ms, *row.ratios.values())
                yield row


def measured_rows(
    cases: Sequence[Case],
    lessons: Sequence[FusionLesson],
    times: ExpectedTimes,
    names: Sequence[str],
    per_unit: float,
    seed: int,
) -> Iterator[Row]:
    """Measure some models, each by a policy that was trained without its family; no kernel is measured twice."""
    target = as_target("native")
    for name in names:
        family = next(family for family, models in FAMILIES.items() if name in models)
        others = [(case, one) for case, one in zip(cases, lessons, strict=True) if case.model not in FAMILIES[family]]
        policy, record = trained([case for case, _ in others], [one for _, one in others], float("inf"), seed)
        zoo = load(name)
        model = Candidates.prepare(zoo.mod, zoo.params, target, vary=True, known={}).models[-1]
        with tempfile.TemporaryDirectory() as folder, Measurer(target=str(target)) as measurer:
            log = TuningLog(Path(folder) / "log.jsonl")
            oracle = KernelOracle(str(target), measurer, log, model=name)
            measure_probes(oracle)
            first = problem_of(model, oracle, rule_set(RULES), Budget())
            first.cost_default()
            oracle.predictor = Predictor(times.predictor.model, oracle.target, host_cpu(), log.kernel_records)
            yield compared(family, name, policy, record["op_types"], partial(_measured, model, oracle), per_unit)


def table_of(found: Sequence[Row], title: str) -> Table:
    """A line for each model, and geometric means."""
    table = Table(title=title)
    columns = [column for column in COLUMNS if column in found[0].ratios]
    for column in ("family", "model", "default ms", *columns):
        table.add_column(column.replace("_", " "), justify="left" if column in ("family", "model") else "right")
    for row in found:
        cells = [f"{row.ratios[column]:.3f} ({row.kernels[column]})" if column in row.kernels
                 else f"{row.ratios[column]:.3f}" for column in columns]  # fmt: skip
        table.add_row(row.family, row.name, f"{row.default_ms:.3f}", *cells, end_section=row is found[-1])
    means = [np.exp(np.mean([np.log(row.ratios[column]) for row in found])) for column in columns]
    table.add_row("geomean", "", "", *(f"{mean:.3f}" for mean in means))
    return table


def _num_units(problem: Problem) -> int:
    return int(units_of(problem.graph, problem.default, problem.rules)[1].max(initial=-1)) + 1


def _expected(times: ExpectedTimes, case: Case, extra: int) -> Problem:
    first = times.problem(*case.form, rule_set(RULES), Budget()).spent
    return times.problem(*case.form, rule_set(RULES), Budget(kernels=first + extra))


def _measured(model: Model, oracle: KernelOracle, extra: int) -> Problem:
    first = problem_of(model, oracle, rule_set(RULES), Budget())
    first.cost_default()
    problem = problem_of(model, oracle, rule_set(RULES), Budget(kernels=first.spent + extra))
    problem.cost_default()
    return problem


def main() -> None:
    """Print a table, or one JSON object for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", nargs="+", default=HELD_OUT, choices=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--measure", nargs="+", default=(), choices=MODELS, metavar="MODEL")
    parser.add_argument("--per-unit", type=float, default=3.0, help="kernels, beyond the default's, per decision (3)")
    add_arguments(parser, forms=0)
    parser.add_argument("--json", action="store_true", help="one object for each model instead of a table")
    args = parser.parse_args()
    cases = [case for name in MODELS for case in cases_of(name, args.forms, args.graphs, args.target)]
    times = times_of(args)
    lessons = lessons_of(cases, times, args.seed)
    if args.measure:
        title, found = "measured", measured_rows(cases, lessons, times, args.measure, args.per_unit, args.seed)
    else:
        title, found = "expected", rows(cases, lessons, times, args.held_out, args.per_unit, args.seed)
    done = []
    for row in found:
        done.append(row)
        if args.json:
            print(json.dumps(asdict(row)), flush=True)
    if not args.json:
        heading = f"default / found, kernels {title}; in brackets, kernels beyond the default's that are measured"
        Console(width=200).print(table_of(done, heading))


if __name__ == "__main__":
    main()
