"""Train a policy for placement: `python -m benchmarks.train_placement --minutes 60`.

Graphs of generated families on boxes of two, four and eight GPUs, see `tvm_go.learn.corpus`; each is first placed by
the quick strategies and by annealing, whose best placement the policy imitates before it learns by reward. The run is
kept beside its journal in the output folder, and goes on from there with ``--resume``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from tvm_go.atomic import write_atomically
from tvm_go.learn.corpus import CorpusConfig, draw_corpus
from tvm_go.learn.lesson import Lesson, prepare_lesson
from tvm_go.learn.train import POLICY_FILE, TrainConfig, train
from tvm_go.policy import Policy, PolicyConfig
from tvm_go.search.placement.go import SHIPPED
from tvm_go.simulate.families import FAMILIES

OBJECTIVE = "concurrent"
#: Sizes for a few minutes on one core. Only the steps of imitation are counted; then PPO goes on as long as time does.
POLICY = PolicyConfig(rounds=1)
TRAINING = TrainConfig(steps=10**9, imitation_steps=400, graphs_per_step=4)
_TEACHER_EVALUATIONS = 2_000


def lessons_of(families: Sequence[str], count: int, seed: int) -> list[Lesson]:
    """Draw graphs and machines, and find a good placement of each."""
    rng = np.random.default_rng(seed)
    cases = draw_corpus(CorpusConfig(tuple(families)), count, rng)
    console = Console(stderr=True)
    return [
        prepare_lesson(workload, machine, OBJECTIVE, evaluations=_TEACHER_EVALUATIONS, rng=rng)
        for workload, machine in track(cases, "preparing", console=console)
    ]


def trained(
    lessons: Sequence[Lesson], minutes: float, seed: int, folder: Path | None = None, *, resume: bool = False
) -> tuple[Policy, dict[str, Any]]:
    """A policy, and the record of its training."""
    policy = Policy(POLICY, seed)
    record = train(
        policy, lessons, TRAINING, np.random.default_rng(seed), folder=folder, resume=resume, seconds=60 * minutes
    )
    return policy, record


def main() -> None:
    """Train, and say where the policy is and how well it did on the graphs that it saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="of training, after the graphs are prepared (60)")
    parser.add_argument("--graphs", type=int, default=84, help="how many to learn from (84)")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("placement-policy"), help="folder of the run")
    parser.add_argument("--ship", action="store_true", help=f"copy the policy to {SHIPPED}, where strategy go looks")
    args = parser.parse_args()
    lessons = lessons_of(args.families, args.graphs, args.seed)
    _, record = trained(lessons, args.minutes, args.seed, args.output, resume=args.resume)
    if args.ship:
        SHIPPED.parent.mkdir(exist_ok=True)
        write_atomically(SHIPPED, (args.output / POLICY_FILE).read_bytes())
    rewards = [row["reward"] for row in record["curve"] if "reward" in row]
    Console().print(f"{args.output / POLICY_FILE}: {record['steps_done']} steps")
    if rewards:
        Console().print(f"mean reward of the last 20 steps: {np.mean(rewards[-20:]):.3f}; expert is -1")


if __name__ == "__main__":
    main()
