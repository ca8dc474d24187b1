"""`tvm-go train`: train a policy for placement, on generated graphs and on one's own, or for fusion, on models."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from tvm.driver.tvmc import frontends
from tvm.driver.tvmc.main import register_parser
from tvm.driver.tvmc.model import TVMCModel

from tvm_go.errors import UsageError
from tvm_go.simulate.families import FAMILIES
from tvm_go.simulate.graph_file import SIMULATED
from tvm_go.tvmc.errors import check_output, interrupted, one_line
from tvm_go.tvmc.frame import add_command, add_model_options
from tvm_go.tvmc.models import load_model

if TYPE_CHECKING:  # it brings torch and DGL, which take seconds to import
    from tvm_go.policy import Checkpoint

_EXAMPLE = """\
tvm-go train --models rnnlm gpt inception --minutes 30 -o policy.pt
tvm-go train --models gnmt.json gpt --machine box.toml -o policy.pt --resume
tvm-go train --tasks fusion --models a.onnx b.onnx --log kernels.jsonl -o policy.pt
"""


@register_parser
def add_train_parser(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Include parser for 'train' subcommand."""
    parser = add_command(
        subparsers,
        "train",
        drive_train,
        text="train a policy that places graphs, or fuses models, which it has never seen.",
        usage="--models M... -o policy.pt [...]",
        example=_EXAMPLE,
    )
    add = parser.add_argument
    sources = f"models, or graph files and families: {', '.join(FAMILIES)}."
    add("--models", metavar="M", nargs="+", required=True, help=sources)
    add("--tasks", metavar="T", default="placement", help="placement (default), of graphs, or fusion, of models.")
    add("-o", "--output", metavar="P.pt", default="policy.pt", help="where to write it; default: policy.pt.")
    add("--machine", metavar="M.toml", help="devices and links for graph files; default: their own.")
    add("--objectives", metavar="O", nargs="+", help=f"of placement; default: {' and '.join(SIMULATED)}.")
    add("--graphs", metavar="N", type=int, help="how many to generate; default: 168.")
    add("--devices", metavar="N", nargs="+", type=int, help="of their machines; default: 2 4 8.")
    add("--ops", metavar="N", nargs=2, type=int, help="least and most ops; default: 100 400.")
    add("--target", metavar="T", help="of models; default: native, this machine's CPU.")
    add("--log", metavar="LOG", nargs="+", help="logs of models' kernels: their times count, beside predictions.")
    add("--cost-model", metavar="FILE", help="predicts kernels; default: the one that ships for the target.")
    add("--forms", metavar="N", type=int, help="forms of each model at random; default: 4.")
    add_model_options(parser)
    add("--minutes", metavar="T", type=float, help="time limit, after all is prepared; default: none.")
    add("--steps", metavar="N", type=int, help="in all; default: 1500, fusion 300, no limit with --minutes.")
    add("--imitation-steps", metavar="N", type=int, help="learn by reward after so many; default: 1500, fusion 300.")
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
        from tvm_go.training import recent, task_of, train
        from tvm_go.tvmc.training_progress import in_words, training_progress
    tasks = args.tasks.split(",")
    models = _loaded(args) if task_of(tasks) == "fusion" else _known_costs(args)
    quiet = args.quiet or args.json
    with (
        contextlib.redirect_stdout(sys.stderr),  # stdout is for the result
        training_progress(Console(stderr=True), quiet=quiet) as on_progress,
        warnings.catch_warnings(record=True) as heard,
    ):
        trained = train(
            models,
            tasks=tasks,
            output=output,
            machine=args.machine,
            objectives=args.objectives,
            graphs=args.graphs,
            devices=args.devices,
            ops=None if args.ops is None else tuple(args.ops),
            target=args.target,
            log=args.log,
            cost_model=args.cost_model,
            forms=args.forms,
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
        speedup = trained.record.get("expected_speedup")
        found = "" if speedup is None else f", likeliest plans {speedup:.3f}x TVM's default by expectation"
        print(f"{output}: {trained.record['steps_done']} steps, {in_words(means)}{found}")
    if trained.record["ended_by"] == "interrupt":
        return interrupted(f"the policy so far is in {output}; the same command with --resume goes on")
    return 0


def _loaded(args: argparse.Namespace) -> dict[str, TVMCModel]:
    """The model files, by name."""
    for one in args.models:
        if one in FAMILIES:
            raise UsageError(
                f"'{one}' is a family of graphs with known costs, for the task placement; fusion is learned from models"
            )
    names = [Path(one).stem for one in args.models]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two of the models are called '{name}': lessons are kept by that name, so rename one")
    with contextlib.redirect_stdout(sys.stderr):
        return {
            name: load_model(one, args.model_format, args.input_shapes)
            for name, one in zip(names, args.models, strict=True)
        }


def _known_costs(args: argparse.Namespace) -> list[str]:
    """Graph files and families."""
    suffixes = [f".{suffix}" for frontend in frontends.ALL_FRONTENDS for suffix in frontend.suffixes()]
    for one in args.models:
        if Path(one).suffix in suffixes:
            raise UsageError(
                f"'{one}' is a model, for --tasks fusion; placement is learned from graphs with known costs"
            )
    for option in ("model_format", "input_shapes"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option.replace('_', '-')} is for the models of --tasks fusion; leave it out")
    return list(args.models)


def _to_json(trained: Checkpoint, means: Mapping[str, float], output: Path) -> dict[str, Any]:
    record = trained.record
    return {
        "policy_path": str(output),
        "tasks": list(trained.policy.config.tasks),
        "steps": record["steps_done"],
        "ended_by": record["ended_by"],
        "graphs": record["graphs"],
        **{name: means.get(name) for name in ("reward", "gap", "imitation_loss")},
        "expected_speedup": record.get("expected_speedup"),
    }
