"""Train a policy that fuses the ops of models: `python -m benchmarks.train_kernels --minutes 10 [--ship]`.

The zoo's models, each in TVM's own forms of ops, those that rules suggest, and some at random. What kernels take is
expected from logs and the cost model, see `tvm_go.expected_times`; nothing is measured. The best decisions that
changing one after the other finds are imitated. `tvm-go train --tasks fusion` does the same for models of one's own.
The run is kept in the output folder, and goes on from there with ``--resume``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.kernel_lessons import MODELS, Case, add_arguments, cases_of, lessons_of, times_of
from tvm_go.learn.fusion import FusionLesson
from tvm_go.learn.fusion_training import train_fusion
from tvm_go.learn.run import RunOptions
from tvm_go.policy import Checkpoint, Policy, save_policy
from tvm_go.search.go import SHIPPED
from tvm_go.training_fusion import POLICY, TRAINING


def trained(
    cases: Sequence[Case],
    lessons: Sequence[FusionLesson],
    minutes: float,
    seed: int,
    *,
    folder: Path | None = None,
    resume: bool = False,
) -> tuple[Policy, dict[str, Any]]:
    """A policy, and the record of its training."""
    policy = Policy(POLICY, seed)
    options = RunOptions(folder, resume, 60 * minutes)
    record = train_fusion(policy, lessons, TRAINING, np.random.default_rng(seed), options)
    if record["ended_by"] == "interrupt":
        raise KeyboardInterrupt  # half a training is not what is to be compared, or shipped
    op_types = sorted({name for case in cases for name in case.form.graph.op_names})
    return policy, record | {"seed": seed, "op_types": op_types}


def main() -> None:
    """Train, and say where the policy is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=f"default: {', '.join(MODELS)}")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training at most, after preparing (10)")
    add_arguments(parser, forms=4)
    parser.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("kernels-policy"), help="folder of the run")
    parser.add_argument("--ship", action="store_true", help=f"write {SHIPPED.name} where strategy go looks as well")
    args = parser.parse_args()
    console = Console(stderr=True)
    cases = []
    for name in args.models:
        cases += cases_of(name, args.forms, args.graphs, args.target)
        console.print(f"{name}: {len(cases)} graphs so far", highlight=False)

    def tell(lesson: FusionLesson) -> None:
        console.print(f"{lesson.name}: default / best known {lesson.reference_ms / lesson.target_ms:.3f}")

    lessons = lessons_of(cases, times_of(args), args.seed, tell)
    args.output.mkdir(parents=True, exist_ok=True)
    policy, record = trained(cases, lessons, args.minutes, args.seed, folder=args.output, resume=args.resume)
    for path in (args.output / "policy.pt", *((SHIPPED,) if args.ship else ())):
        path.parent.mkdir(exist_ok=True)
        save_policy(Checkpoint(policy, record), path)
        console.print(f"{path}: {record['steps_done']} steps", highlight=False)


if __name__ == "__main__":
    main()
