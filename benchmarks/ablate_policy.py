"""What each part of the policy is worth: `python -m benchmarks.ablate_policy [--json]`.

The policy is trained again and again on the same drafts of all families but two, each time without one of its parts, or
on a single graph. Then it improves drafts of the two families: how many of the moves that it draws in the first four
rounds gain, and the speed-up over the best quick strategy after so many rounds, geometric mean. An untrained policy
draws at random.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.train_placement import lessons_of
from tvm_go.learn.corpus import Case, CorpusConfig, draw_corpus
from tvm_go.learn.finetune import exercise_of_best, step
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.train import TrainConfig, train
from tvm_go.policy import Policy
from tvm_go.search.placement import UNLIMITED
from tvm_go.search.placement.go import take_drafts
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate.families import FAMILIES
from tvm_go.training_placement import POLICY

#: What is changed in the policy; on one graph alone it is complete.
VARIANTS = {
    "complete": POLICY,
    "no attention": replace(POLICY, attention=False),
    "no modulation": replace(POLICY, modulation=False),
    "no graph layers": replace(POLICY, graph_layers=0),
    "one graph only": POLICY,
    "untrained": POLICY,
}


@dataclass(frozen=True)
class Row:
    """One variant on the families that were held out."""

    variant: str
    gaining: float
    zero_shot: float
    rounds: float


def measured(name: str, lessons: Sequence[Lesson], cases: Sequence[Case], steps: int, rounds: int) -> Row:
    """Train one variant, and let it improve drafts."""
    policy = Policy(VARIANTS[name], seed=0)
    if name == "one graph only":
        first = lessons[0].name.split(",")[0]
        lessons = [lesson for lesson in lessons if lesson.name.split(",")[0] == first]
    if name != "untrained":
        train(policy, lessons, TrainConfig(steps=steps, imitation_steps=steps), np.random.default_rng(0))
    gaining, early, late = [], [], []
    for workload, machine, objective in cases:
        problem = PlacementProblem(workload, machine, objective, PlacementBudget(UNLIMITED))
        take_drafts(problem, np.random.default_rng(0))
        if not len(problem.best):
            continue
        first_ms, generator = problem.best_value, torch.Generator().manual_seed(0)
        for number in range(rounds):
            tried = step(policy, exercise_of_best(problem), problem, generator)
            if number < 4:
                gaining.append(float((tried.gain > 0).mean()))
            if number == 3:
                early.append(first_ms / problem.best_value)
        late.append(first_ms / problem.best_value)
    return Row(name, float(np.mean(gaining)), _geomean(early), _geomean(late))


def _geomean(ratios: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def main() -> None:
    """Print a table, or one JSON object for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="of training for each variant (300)")
    parser.add_argument("--graphs", type=int, default=100, help="how many to learn from (100)")
    parser.add_argument("--rounds", type=int, default=20, help="of 16 moves, without fine-tuning (20)")
    parser.add_argument("--held-out", nargs="+", default=["wavenet", "inception"], choices=list(FAMILIES))
    parser.add_argument("--json", action="store_true", help="one object for each variant instead of a table")
    args = parser.parse_args()
    lessons = lessons_of([one for one in FAMILIES if one not in args.held_out], args.graphs, 0)
    cases = draw_corpus(CorpusConfig(tuple(args.held_out)), 12, np.random.default_rng(1))
    table = Table("policy", "moves that gain", "after 4 rounds", f"after {args.rounds} rounds")
    for name in VARIANTS:
        row = measured(name, lessons, cases, args.steps, args.rounds)
        if args.json:
            print(json.dumps(asdict(row)), flush=True)
        table.add_row(name, f"{100 * row.gaining:.0f} %", f"{row.zero_shot:.3f}", f"{row.rounds:.3f}")
    if not args.json:
        Console().print(table)


if __name__ == "__main__":
    main()
