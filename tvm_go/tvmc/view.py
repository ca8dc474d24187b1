"""`tvm-go view PLAN.json`: a plan or a placement as one HTML page."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from tvm.driver.tvmc.main import register_parser

from relay_passes.targets import as_target
from tuning_logs import TuningLog
from tvm_go.atomic import write_atomically
from tvm_go.detailing import Times, detailed, nobody_knows, times_of_log
from tvm_go.errors import PlanError, UsageError
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.report import page, plan_scene, split_scene
from tvm_go.report.scene import Scene
from tvm_go.report.split_file import is_split, read_split
from tvm_go.simulate.graph_file import read_graph
from tvm_go.tvmc.errors import check_output, one_line
from tvm_go.tvmc.frame import add_command, add_model_options
from tvm_go.tvmc.models import load_model

_EXAMPLE = """\
tvm-go view plan.json -o plan.html
tvm-go view plan.json --against other.json -o plan.html
tvm-go view split.json --model graph.json --machine box.toml -o split.html
"""
_EXECUTORS = ("concurrent", "sequential", "pipeline")


@register_parser
def add_view_parser(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Include parser for 'view' subcommand."""
    parser = add_command(
        subparsers,
        "view",
        drive_view,
        text="show a plan as one HTML page: graph, timeline, memory, kernels.",
        usage="PLAN.json [--against OTHER.json] [-o PLAN.html] [...]",
        example=_EXAMPLE,
    )
    parser.add_argument("FILE", metavar="PLAN.json", help="from tune-graph, or a split from place.")
    parser.add_argument("--against", metavar="OTHER.json", help="compare with this plan; default: TVM's default.")
    parser.add_argument("-o", "--output", metavar="PLAN.html", help="where to write; default: PLAN.html.")
    parser.add_argument(
        "--model", metavar="FILE", help="model of a plan without details; graph of a split (GRAPH.json of place)."
    )
    parser.add_argument("--log", metavar="L.jsonl", help="with --model: tuning log with the times of the kernels.")
    parser.add_argument("--machine", metavar="M.toml", help="machine of a split; default: that in its graph's file.")
    parser.add_argument(
        "--executor", choices=_EXECUTORS, default=_EXECUTORS[0], help="how to run a split; default: %(default)s."
    )
    add_model_options(parser)


@one_line
def drive_view(args: argparse.Namespace) -> int:
    """Write the page."""
    path = Path(args.FILE)
    output = Path(args.output or path.with_suffix(".html").name)
    check_output(output, "the page")
    scene = _split_scene(args, path) if is_split(_json(path)) else _plan_scene(args, path)
    content = page(scene).encode()
    try:
        write_atomically(output, content)
    except OSError as error:
        raise UsageError(f"cannot write the page to {output} ({error.strerror}): choose another with -o") from error
    print(f"{output}: {len(content) / 1e6:.1f} MB, open it in a browser")
    return 0


def _plan_scene(args: argparse.Namespace, path: Path) -> Scene:
    plan = _with_details(args, GraphPlan.load(path), path)
    if args.against is None:
        return plan_scene(plan)
    other_path = Path(args.against)
    other = _with_details(args, GraphPlan.load(other_path), other_path)
    return plan_scene(plan, other.with_provenance(strategy=other_path.name))


def _with_details(args: argparse.Namespace, plan: GraphPlan, path: Path) -> GraphPlan:
    """A plan with its graph: its own, else from the model."""
    if plan.details is not None:
        return plan
    if args.model is None:
        raise PlanError(
            f"{path} does not hold its graph (an older tvm-go wrote it): give the model with --model MODEL, "
            "or write the plan again with `tvm-go tune-graph`"
        )
    with contextlib.redirect_stdout(sys.stderr):
        loaded = load_model(args.model, args.model_format, args.input_shapes)
        model = Model.of_plan(loaded.mod, loaded.params, plan)
        default = Model.prepare(loaded.mod, loaded.params, as_target(plan.target))
    return detailed(plan, (default, model), _times(args, plan))


def _times(args: argparse.Namespace, plan: GraphPlan) -> Times:
    if args.log is None:
        return nobody_knows
    if not Path(args.log).is_file():
        raise UsageError(f"there is no tuning log '{args.log}'; give one of `tvm-go tune-graph` with --log")
    return times_of_log(TuningLog(args.log), plan.target)


def _split_scene(args: argparse.Namespace, path: Path) -> Scene:
    if args.model is None:
        raise UsageError(f"{path} is a split, which does not hold its graph: give the GRAPH.json of place with --model")
    workload, machine = read_graph(Path(args.model), args.machine)
    against = None if args.against is None else read_split(Path(args.against), workload, machine)
    return split_scene(workload, machine, read_split(path, workload, machine), args.executor, against)


def _json(path: Path) -> Any:
    """What a file holds; None if it cannot be read, of which whoever reads it as a plan says more."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
