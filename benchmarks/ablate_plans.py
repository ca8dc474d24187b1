"""What each part of a policy of several tasks is worth: `python -m benchmarks.ablate_plans [--json]`.

As `benchmarks.joint_tasks`, for the policy that decides in all tasks: trained on the same cases, each time without one
of its parts, or on one model alone; beside it, moves at random. Speed-ups over the default of models that were left
out; geometric means.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.joint_graphs import FOLDER, Graph
from benchmarks.joint_tables import geomean
from benchmarks.joint_tasks import POLICY, Case, Effort, Stage, both_cases, models_of, planned_by, trained
from tvm_go.learn.plan_lessons import TASKS
from tvm_go.policy import PolicyConfig

_RANDOM = "moves at random"
#: What is changed in the policy; where only the cases are fewer, it is complete.
PARTS: dict[str, PolicyConfig] = {
    "complete": POLICY,
    "no task recurrence": replace(POLICY, task_recurrence=False),
    "no attention": replace(POLICY, attention=False),
    "no modulation": replace(POLICY, modulation=False),
    "no graph layers": replace(POLICY, graph_layers=0),
    "one model only": POLICY,
    _RANDOM: POLICY,
}


@dataclass(frozen=True)
class Row:
    """A policy without one part, on the cases that one seed leaves out: default over found, by evaluations."""

    part: str
    seed: int
    speed_ups: list[list[float]]  # [budgets][cases]


def stage_without(part: str, cases: Sequence[Case], effort: Effort, seed: int) -> Stage:
    """Train the policy that is measured, if it is one."""
    if part == _RANDOM:
        return TASKS
    if part == "one model only":
        cases = [case for case in cases if case.model == cases[0].model]
    return trained(TASKS, cases, effort, effort.steps, seed, PARTS[part])


def rows_of(
    seed: int, learned: Sequence[Graph], held_out: Sequence[Graph], effort: Effort, parts: Sequence[str]
) -> Iterator[Row]:
    """Train without each part, and plan what was left out."""
    cases, tests = both_cases(seed, learned, held_out, effort)
    default_ms = [case.frame.planned.milliseconds(case.default) for case in tests]
    for part in parts:
        stage = stage_without(part, cases, effort, seed)
        speed_ups = [
            [
                ms / planned_by(case, [stage], budget, number, in_turns=False).best_ms
                for number, (case, ms) in enumerate(zip(tests, default_ms, strict=True))
            ]
            for budget in effort.budgets
        ]
        yield Row(part, seed, speed_ups)


def table_of(rows: Sequence[Row], budgets: Sequence[int]) -> Table:
    """Means over the cases of all seeds."""
    table = Table("", *(f"{budget} evaluations" for budget in budgets), title="default / found")
    for part in dict.fromkeys(row.part for row in rows):
        own = [row.speed_ups for row in rows if row.part == part]
        means = [geomean(np.concatenate(each)) for each in zip(*own, strict=True)]
        table.add_row(part, *(f"{mean:.3f}" for mean in means))
    return table


def main() -> None:
    """Print a table, or one JSON object for each policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS), metavar="PART")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="each leaves out a third (0 1 2)")
    parser.add_argument("--steps", type=int, default=Effort.steps, help=f"of training ({Effort.steps})")
    parser.add_argument("--graphs", type=Path, default=FOLDER, help="folder that keeps prepared models")
    parser.add_argument("--json", action="store_true", help="one object for each policy instead of a table")
    args = parser.parse_args()
    effort = Effort(steps=args.steps)
    rows = []
    for seed in args.seeds:
        for row in rows_of(seed, *models_of(seed, args.graphs), effort, args.parts):
            rows.append(row)
            if args.json:
                print(json.dumps(asdict(row)), flush=True)
    if not args.json:
        Console(width=160).print(table_of(rows, effort.budgets))


if __name__ == "__main__":
    main()
