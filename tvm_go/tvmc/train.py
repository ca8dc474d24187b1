"""`tvm-go train`: train a policy for placement, on generated graphs and on one's own."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from tvm.driver.tvmc.main import register_parser

from tvm_go.simulate.families import FAMILIES
from tvm_go.simulate.graph_file import SIMULATED
from tvm_go.tvmc.errors import check_output, interrupted, one_line
from tvm_go.tvmc.frame import add_command

if TYPE_CHECKING:  # it brings torch and DGL, which take seconds to import
    from tvm_go.policy import Checkpoint

_EXAMPLE = """\
tvm-go train --models rnnlm gpt inception --minutes 30 -o policy.pt
tvm-go train --models gnmt.json gpt --machine box.toml -o policy.pt --resume
"""


@register_parser
def add_train_parser(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Include parser for 'train' subcommand."""
    parser = add_command(
        subparsers,
        "train",
        drive_train,
        text="train a policy that places graphs which it has never seen.",
        usage="--models M... -o policy.pt [...]",
        example=_EXAMPLE,
    )
    add = parser.add_argument
    families = ", ".join(FAMILIES)
    add("--models", metavar="M", nargs="+", required=True, help=f"graph files as of place, and families: {families}.")
    add("--tasks", metavar="T", default="placement", help="what it decides, by commas; default: placement.")
    add("-o", "--output", metavar="P.pt", default="policy.pt", help="where to write it; default: policy.pt.")
    add("--machine", metavar="M.toml", help="devices and links for graph files; default: their own.")
    both = list(SIMULATED)
    add("--objectives", metavar="O", nargs="+", default=both, help=f"what for; default: {' and '.join(both)}.")
    add("--graphs", metavar="N", type=int, default=168, help="how many to generate; default: 168.")
    add("--devices", metavar="N", nargs="+", type=int, default=[2, 4, 8], help="of their machines; default: 2 4 8.")
    add("--ops", metavar="N", nargs=2, type=int, default=[100, 400], help="least and most ops; default: 100 400.")
    add("--minutes", metavar="T", type=float, help="time limit, after graphs are prepared; default: none.")
    add("--steps", metavar="N", type=int, help="steps in all; default: 1500, or no limit with --minutes.")
    add("--imitation-steps", metavar="N", type=int, default=1500, help="learn by reward after so many; default: 1500.")
    add("--seed", metavar="N", type=int, default=0, help="with --steps: same seed, same policy.")
    add("--resume", action="store_true", help="go on with the run that is kept beside the policy.")
    add("--tensorboard", metavar="DIR", help="write curves of the run for TensorBoard while it runs.")
    add("--quiet", action="store_true", help="print the verdict only.")
    add("--json", action="store_true", help="print one JSON object on stdout.")


@one_line
def drive_train(args: argparse.Namespace) -> int:
    """Train, and say how well the policy does on the graphs that it has seen."""
    output = Path(args.output)
    check_output(output, "the policy")
    with Console(stderr=True).status("getting ready: torch and DGL take a moment"):
        from tvm_go.training import recent, train
        from tvm_go.tvmc.training_progress import in_words, training_progress
    quiet = args.quiet or args.json
    with (
        training_progress(Console(stderr=True), quiet=quiet) as on_progress,
        warnings.catch_warnings(record=True) as heard,
    ):
        trained = train(
            args.models,
            tasks=args.tasks.split(","),
            output=output,
            machine=args.machine,
            objectives=args.objectives,
            graphs=args.graphs,
            devices=args.devices,
            ops=tuple(args.ops),
            minutes=args.minutes,
            steps=args.steps,
            imitation_steps=args.imitation_steps,
            seed=args.seed,
            resume=args.resume,
            tensorboard=args.tensorboard,
            on_progress=on_progress,
        )
    for warning in heard:
        print(f"tvm-go: warning: {warning.message}", file=sys.stderr)
    means = recent(trained.record["curve"])
    if args.json:
        print(json.dumps(_to_json(trained, means, output)))
    else:
        print(f"{output}: {trained.record['steps_done']} steps, {in_words(means)}")
    if trained.record["ended_by"] == "interrupt":
        return interrupted(f"the policy so far is in {output}; the same command with --resume goes on")
    return 0


def _to_json(trained: Checkpoint, means: Mapping[str, float], output: Path) -> dict[str, Any]:
    record = trained.record
    return {
        "policy_path": str(output),
        "tasks": list(trained.policy.config.tasks),
        "steps": record["steps_done"],
        "ended_by": record["ended_by"],
        "graphs": record["graphs"],
        **{name: means.get(name) for name in ("reward", "gap", "imitation_loss")},
    }
