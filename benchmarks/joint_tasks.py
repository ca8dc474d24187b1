"""Forms, placement, fusion and order learned together or one by one: `python -m benchmarks.joint_tasks [--json]`.

Models of the zoo, alone or two at once, on simulated machines of a host and one or three accelerators, drawn at random.
A policy that decides in all four tasks is compared with four that decide in one each, which were trained with the other
tasks as they are by default, and are applied in sequence: forms, placement, fusion, order; or in turns, at most 16
evaluations each, again and again. A task in which a model has nothing to decide is passed over. Together the four had
as many evaluations and steps of training as the one. By default every op has the form in which TVM prepares it, every
model is on the best device or in the best placement of quick strategies, has FuseOps' kernels, and runs in TVM's order.
Each seed leaves out other families of models, draws machines anew, and trains all policies from scratch. Speed-ups over
the default after equally many evaluations; geometric means.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.joint_graphs import FAMILIES, FOLDER, Graph, batched, graph_of, together
from benchmarks.joint_tables import COLUMNS, Row, plot, tables
from tvm_go.learn.plan_lessons import TASKS, PlanProblem, plan_lessons
from tvm_go.learn.plan_training import PlanTraining, improve, train_plans
from tvm_go.legalize import encode
from tvm_go.policy import Policy, PolicyConfig
from tvm_go.policy.plan_graph import PlanFrame
from tvm_go.rules import rule_set
from tvm_go.search.placement.portfolio import QUICK, available
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.mixed_machines import draw_machine, draw_reach
from tvm_go.simulate.plans import PlannedGraph, WholePlan

#: Families that are left out together.
FOLDS = (("recurrent", "mixer"), ("convolutional", "transformer"), ("Inception", "WaveNet", "formulas"))
POLICY = PolicyConfig(tasks=TASKS, width=32, graph_layers=2, segment=32, rounds=2, plans=True)
_DEFAULT_LEVEL = 3  # of eight: some go before, some after
_QUICK = ("expert", "critical_path", "m_etf", "metis")
_BATCHES = (1, 2, 4, 8)
_DEVICES = (2, 4)
_SAMPLES = 16  # moves of one draft

Stage = Policy | tuple[str, ...]
"""A policy, or the tasks in which moves are drawn at random."""


@dataclass(frozen=True)
class Effort:
    """How much is done.

    Attributes
    ----------
    train_cases, test_cases : int
        Models on machines to learn from, and of each model that was left out.
    evaluations : int
        Of each case to learn from.
    steps : int
        Of training.
    budgets : tuple of int
        Evaluations of each case that was left out.
    """

    train_cases: int = 48
    test_cases: int = 4
    evaluations: int = 384
    steps: int = 240
    budgets: tuple[int, ...] = (24, 48, 96, 192, 480)


@dataclass(frozen=True, eq=False)
class Case:
    """A model on a machine.

    Attributes
    ----------
    default : WholePlan
    quick_ms : float
        FuseOps' kernels by the best quick strategy, in the order of the longest way that remains.
    """

    model: str
    frame: PlanFrame
    default: WholePlan
    quick_ms: float

    def problem(self) -> PlanProblem:
        return PlanProblem(self.frame, POLICY.levels, self.default)


def models_of(seed: int, folder: Path) -> tuple[list[Graph], list[Graph]]:
    """Models to learn from, and those that a seed leaves out; prepared ones are kept in a folder."""
    left_out = FOLDS[seed % len(FOLDS)]
    learned, held_out = (
        [graph_of(name, folder) for family, names in FAMILIES.items() for name in names if (family in left_out) == out]
        for out in (False, True)
    )
    return learned, held_out


def draw_cases(graphs: Sequence[Graph], count: int, rng: np.random.Generator) -> list[Case]:
    """Models in turn, each with a batch size and a machine at random; every other time with a second model."""
    cases = []
    for number in range(count):
        turn, which = divmod(number, len(graphs))
        one = batched(graphs[which], int(rng.choice(_BATCHES)))
        pair = (turn // len(_DEVICES)) % 2 == 1
        if pair:
            one = together(one, batched(graphs[int(rng.integers(len(graphs)))], int(rng.choice(_BATCHES))))
        machine, specs = draw_machine(_DEVICES[turn % len(_DEVICES)], rng)
        planned = PlannedGraph(
            f"{one.name} on {machine.name} #{number}",
            one.graph,
            one.default,
            machine,
            specs,
            draw_reach(specs, rng),
            rule_set("wide"),
        )
        cases.append(_case("two models" if pair else graphs[which].name, planned, rng))
    return cases


def both_cases(
    seed: int, learned: Sequence[Graph], held_out: Sequence[Graph], effort: Effort
) -> tuple[list[Case], list[Case]]:
    """Cases to learn from, and those of the models that were left out."""
    return (
        draw_cases(learned, effort.train_cases, np.random.default_rng([seed, 1])),
        draw_cases(held_out, effort.test_cases * len(held_out), np.random.default_rng([seed, 2])),
    )


def _case(model: str, planned: PlannedGraph, rng: np.random.Generator) -> Case:
    placements = [np.full(planned.num_ops, device) for device in range(planned.machine.num_devices)]
    whole = planned.default_plan(placements[0], _DEFAULT_LEVEL)
    kernels, _, _ = planned.workload(whole)
    quick_ms = float("inf")
    for name in available(_QUICK):
        problem = PlacementProblem(kernels.workload, planned.machine, "concurrent")
        QUICK[name](problem, rng)
        if len(problem.best):
            placements.append(kernels.device_of(problem.best)[whole.kernel])
            quick_ms = min(quick_ms, problem.best_value)
    plans = [planned.default_plan(device, _DEFAULT_LEVEL) for device in placements]
    values = [planned.milliseconds(plan) for plan in plans]
    return Case(model, PlanFrame.of(planned), plans[int(np.argmin(values))], min(quick_ms, *values))


def trained(
    tasks: tuple[str, ...],
    cases: Sequence[Case],
    effort: Effort,
    steps: int,
    seed: int,
    config: PolicyConfig = POLICY,
) -> Policy:
    """A policy for some tasks; without a draft that a move improves it stays as it was drawn."""
    rng = np.random.default_rng([seed, len(tasks)])
    lessons = []
    for case in cases:
        lessons += plan_lessons(case.problem(), tasks, effort.evaluations, rng)
    policy = Policy(replace(config, tasks=tasks), seed)
    if lessons:
        train_plans(policy, lessons, PlanTraining(steps=steps), rng)
    return policy


def rows_of(
    seed: int, learned: Sequence[Graph], held_out: Sequence[Graph], effort: Effort, *, in_full: bool = False
) -> Iterator[Row]:
    """Train all policies, and plan what was left out.

    A quarter of the cases is what each of the four policies of one task learns from, in a quarter of the steps; or all,
    if they are to learn in full.
    """
    cases, tests = both_cases(seed, learned, held_out, effort)
    share = 1 if in_full else len(TASKS)
    all_tasks = trained(TASKS, cases, effort, effort.steps, seed)
    sequence = [
        trained((task,), cases[number % share :: share], effort, effort.steps // share, seed)
        for number, task in enumerate(TASKS)
    ]
    at_random: list[Stage] = [(task,) for task in TASKS]
    ways: list[tuple[str, Sequence[Stage], bool]] = [
        (COLUMNS[0], at_random, False),
        (COLUMNS[1], [TASKS], False),
        (COLUMNS[2], sequence, False),
        (COLUMNS[3], sequence, True),
        (COLUMNS[4], [all_tasks], False),
    ]
    for number, case in enumerate(tests):
        found = {
            column: [planned_by(case, stages, budget, number, in_turns=turns) for budget in effort.budgets]
            for column, stages, turns in ways
        }
        planned = case.frame.planned
        yield Row(
            seed=seed,
            model=case.model,
            machine=planned.name,
            devices_by_default=len(np.unique(case.default.device)),
            default_ms=planned.milliseconds(case.default),
            quick_ms=case.quick_ms,
            ms={column: [problem.best_ms for problem in problems] for column, problems in found.items()},
            without_ms=_without(case, found[COLUMNS[4]][-1].best),
        )


def planned_by(case: Case, stages: Sequence[Stage], budget: int, seed: int, *, in_turns: bool) -> PlanProblem:
    """The case after so many evaluations, of which the stages have equal parts, one after the other or in turns."""
    problem = case.problem()
    rng = np.random.default_rng(seed)
    stages = [stage for stage in stages if len(case.frame.forms) or _tasks(stage) != ("variant",)]
    part = budget // len(stages)
    if in_turns:
        part = min(_SAMPLES, part)
    for stage in cycle(stages):
        left = budget - problem.evaluations
        if not left:
            break
        improve(stage, problem, min(part, left), _SAMPLES, rng)
    return problem


def _tasks(stage: Stage) -> tuple[str, ...]:
    return stage.config.tasks if isinstance(stage, Policy) else stage


def _without(case: Case, plan: WholePlan) -> dict[str, float]:
    planned, default = case.frame.planned, case.default
    ms = {}
    for task in TASKS:
        kept = [default if task == other else plan for other in TASKS]
        changed = planned.legal(kept[0].form, kept[1].device, encode(planned.graph, kept[2].kernel), kept[3].level)
        ms[task] = planned.milliseconds(changed)
    return ms


def main() -> None:
    """Print three tables, or one JSON object for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="each leaves out a third (0 1 2)")
    parser.add_argument("--steps", type=int, default=Effort.steps, help=f"of training ({Effort.steps})")
    parser.add_argument(
        "--in-full", action="store_true", help="train each policy of one task as much as the one, not a quarter"
    )
    parser.add_argument("--graphs", type=Path, default=FOLDER, help="folder that keeps prepared models")
    parser.add_argument("--plot", type=Path, help="PNG of the first table")
    parser.add_argument("--json", action="store_true", help="one object for each case instead of tables")
    args = parser.parse_args()
    effort = Effort(steps=args.steps)
    rows = []
    for seed in args.seeds:
        learned, held_out = models_of(seed, args.graphs)
        for row in rows_of(seed, learned, held_out, effort, in_full=args.in_full):
            rows.append(row)
            if args.json:
                print(json.dumps(asdict(row)), flush=True)
    if args.plot:
        plot(args.plot, rows, effort.budgets)
    if not args.json:
        for table in tables(rows, effort.budgets):
            Console(width=160).print(table)


if __name__ == "__main__":
    main()
