"""Zero-shot placement of families that a policy never saw: `python -m benchmarks.zero_shot [--json]`.

For each family in turn, a policy is trained on all the others and then improves drafts of graphs of that family on two,
four and eight GPUs: the best draft of the quick strategies as it is, zero-shot (four rounds of 16 moves), then with 50
steps of fine-tuning. The quick strategies stand beside it, and `annealing` and `hdp` with as many evaluations as the
fine-tuned policy had; `annealing+` begins with the same drafts. Figures are speed-ups over `expert`, geometric means.
`expert` takes as many devices as are best; its cut over all of them, as by hand, stands beside it.
Then: how often zero-shot is better than the best quick strategy, which it begins with, and after how many evaluations
the fine-tuned policy is as good as `hdp` is in the end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.train_placement import lessons_of, trained
from tvm_go.learn.corpus import CorpusConfig, draw_corpus
from tvm_go.learn.finetune import finetune
from tvm_go.policy import Policy
from tvm_go.search.placement import STRATEGIES, UNLIMITED
from tvm_go.search.placement.go import take_drafts, zero_shot
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.families import FAMILIES

_STEPS = 50
_REFERENCE = "expert"
_QUICK = ("expert", "critical_path", "metis", "m_etf")
_SEARCHES = ("annealing", "hdp")
_FROM_DRAFTS = "annealing+"
_BY_HAND = "all_devices"
COLUMNS = (_BY_HAND, *_QUICK, "zero_shot", "fine_tuned", *_SEARCHES, _FROM_DRAFTS)
_OBJECTIVE = "concurrent"


@dataclass(frozen=True)
class Row:
    """One graph of a family that was held out; milliseconds by strategy are None where nothing feasible was found.

    ``evaluations`` of the fine-tuned policy are those after which it was as good as `hdp` in the end; None if never.
    """

    family: str
    workload: str
    devices: int
    milliseconds: dict[str, float | None]
    evaluations: int
    evaluations_to_hdp: int | None


def measured(policy: Policy, family: str, workload: Workload, machine: Machine) -> Row:
    """All strategies on one graph."""

    def problem_of(evaluations: int) -> PlacementProblem:
        return PlacementProblem(workload, machine, _OBJECTIVE, PlacementBudget(evaluations))

    found: dict[str, PlacementProblem] = {}
    for name in _QUICK:
        found[name] = problem_of(UNLIMITED)
        STRATEGIES[name](found[name], np.random.default_rng(0))
    tuned = problem_of(UNLIMITED)
    zero_shot(policy, tuned, np.random.default_rng(0))
    values = {"zero_shot": tuned.best_value}
    finetune(policy, tuned, np.random.default_rng(1), steps=_STEPS)
    found["fine_tuned"] = tuned
    for name in _SEARCHES:
        found[name] = problem_of(tuned.evaluations)
        STRATEGIES[name](found[name], np.random.default_rng(0))
    found[_FROM_DRAFTS] = problem_of(tuned.evaluations)
    take_drafts(found[_FROM_DRAFTS], np.random.default_rng(0))
    STRATEGIES["annealing"](found[_FROM_DRAFTS], np.random.default_rng(0))
    values |= {name: problem.best_value for name, problem in found.items()}
    first = next(iter(found[_REFERENCE].history), None)  # `expert` begins with all devices
    values[_BY_HAND] = first.value if first is not None and first.evaluations == 1 else np.inf
    reached = [step.evaluations for step in tuned.history if step.value <= found["hdp"].best_value]
    return Row(
        family=family,
        workload=workload.name,
        devices=machine.num_devices,
        milliseconds={name: value if np.isfinite(value) else None for name, value in values.items()},
        evaluations=tuned.evaluations,
        evaluations_to_hdp=reached[0] if reached else None,
    )


def rows(families: Sequence[str], steps: int, graphs: int, seed: int) -> Iterator[Row]:
    """Leave each family out in turn."""
    lessons = {family: lessons_of((family,), -(-graphs // len(FAMILIES)), seed) for family in FAMILIES}
    for family in families:
        others = [lesson for name, own in lessons.items() if name != family for lesson in own]
        policy, _ = trained(others, steps, seed)
        rng = np.random.default_rng([seed, 1])  # graphs that no training draws
        for training in (0.0, 1.0):
            for workload, machine, _ in draw_corpus(CorpusConfig((family,), training=training), 3, rng):
                yield measured(policy, family, workload, machine)


def table_of(found: Sequence[Row], key: Callable[[Row], str], title: str) -> Table:
    """Speed-ups over `expert`: geometric means of the rows with the same key, and of all."""
    table = Table(title=title)
    for column in ("", "graphs", *COLUMNS, "zero-shot > best quick"):
        table.add_column(column, justify="right" if column else "left")
    groups = {name: [row for row in found if key(row) == name] for name in dict.fromkeys(map(key, found))}
    for name, group in {**groups, "all": list(found)}.items():
        wins = [_is_better(row) for row in group]
        cells = [_speed_up(group, column) for column in COLUMNS]
        table.add_row(name, str(len(group)), *cells, f"{100 * np.mean(wins):.0f} %", end_section=name != "all")
    return table


def _speed_up(group: Sequence[Row], strategy: str) -> str:
    """Geometric mean over the graphs that both could place, and of how many if not of all."""
    ratios = []
    for row in group:
        reference, own = row.milliseconds[_REFERENCE], row.milliseconds[strategy]
        if reference is not None and own is not None:
            ratios.append(reference / own)
    mean = f"{np.exp(np.mean(np.log(ratios))):.3f}" if ratios else "-"
    return mean if len(ratios) == len(group) else f"{mean} of {len(ratios)}"


def _is_better(row: Row) -> bool:
    """Whether zero-shot is better than the best of the quick strategies, which it began with."""
    own = row.milliseconds["zero_shot"]
    quick = [value for name in _QUICK if (value := row.milliseconds[name]) is not None]
    return own is not None and own < min(quick, default=np.inf)


def main() -> None:
    """Print two tables and the evaluations beside `hdp`, or one JSON object for each graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600, help="of training for each family left out (600)")
    parser.add_argument("--graphs", type=int, default=140, help="how many to learn from (140)")
    parser.add_argument("--held-out", nargs="+", default=list(FAMILIES), choices=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object for each graph instead of tables")
    args = parser.parse_args()
    found = []
    for row in rows(args.held_out, args.steps, args.graphs, args.seed):
        found.append(row)
        if args.json:
            print(json.dumps(asdict(row)), flush=True)
    if args.json:
        return
    console = Console(width=180)
    console.print(table_of(found, lambda row: row.family, "Families held out: speed-up over expert, geomean"))
    console.print(table_of(found, lambda row: f"{row.devices} devices", "The same by number of devices"))
    fewer = [row.evaluations / row.evaluations_to_hdp for row in found if row.evaluations_to_hdp is not None]
    if fewer:
        mean = np.exp(np.mean(np.log(fewer)))
        console.print(
            f"hdp's final value with {mean:.1f} times fewer evaluations, on {len(fewer)} of {len(found)} graphs"
        )


if __name__ == "__main__":
    main()
