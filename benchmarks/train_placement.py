"""Train a policy for placement: `python -m benchmarks.train_placement`.

Graphs of generated families on boxes of two, four and eight GPUs, see `tvm_go.learn.corpus`; each is first placed by
the quick strategies. Moves of these drafts are tried, and the policy learns which ones gain. The run is kept beside its
journal in the output folder, and goes on from there with ``--resume``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

import tvm_go
from tvm_go.atomic import write_atomically
from tvm_go.learn.corpus import draw_corpus
from tvm_go.learn.draft_lessons import draft_lessons
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.train import TrainConfig, train
from tvm_go.policy import Policy
from tvm_go.search.placement.go import SHIPPED
from tvm_go.simulate.families import FAMILIES
from tvm_go.training_placement import CORPUS, GRAPHS, POLICY, STEPS, TRIED_MOVES
from tvm_go.tvmc.training_progress import training_progress

POLICY_FILE = "policy.pt"


def lessons_of(families: Sequence[str], count: int, seed: int) -> list[Lesson]:
    """Draw graphs and machines, and try what could be done with drafts of each."""
    rng = np.random.default_rng(seed)
    cases = draw_corpus(replace(CORPUS, families=tuple(families)), count, rng)
    console = Console(stderr=True)
    return [
        lesson
        for case in track(cases, "preparing", console=console)
        for lesson in draft_lessons(*case, moves=TRIED_MOVES, rng=rng)
    ]


def trained(lessons: Sequence[Lesson], steps: int, seed: int) -> tuple[Policy, dict[str, Any]]:
    """A policy, and the record of its training."""
    policy = Policy(POLICY, seed)
    config = TrainConfig(steps=steps, imitation_steps=steps)
    return policy, train(policy, lessons, config, np.random.default_rng(seed))


def main() -> None:
    """Train, and say where the policy is and how well it did on the graphs that it saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of training ({STEPS})")
    parser.add_argument("--graphs", type=int, default=GRAPHS, help=f"how many to learn from ({GRAPHS})")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("placement-policy"), help="folder of policy and run")
    parser.add_argument("--ship", action="store_true", help=f"copy the policy to {SHIPPED}, where strategy go looks")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / POLICY_FILE
    with training_progress(Console(stderr=True), quiet=False) as on_progress:
        checkpoint = tvm_go.train(
            args.families,
            output=path,
            graphs=args.graphs,
            steps=args.steps,
            imitation_steps=args.steps,
            seed=args.seed,
            resume=args.resume,
            on_progress=on_progress,
        )
    if args.ship:
        SHIPPED.parent.mkdir(exist_ok=True)
        write_atomically(SHIPPED, path.read_bytes())
    losses = [row["imitation_loss"] for row in checkpoint.record["curve"]]
    Console().print(f"{path}: {checkpoint.record['steps_done']} steps")
    Console().print(
        f"loss of the first 50 steps {np.mean(losses[:50]):.2f} nats, of the last {np.mean(losses[-50:]):.2f}"
    )


if __name__ == "__main__":
    main()
