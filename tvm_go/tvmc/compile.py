"""`tvm-go compile --graph-plan PLAN.json`: stock compile, with the kernels of a plan."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

import tvm
from tvm.driver.tvmc import compiler, frontends
from tvm.driver.tvmc.main import register_parser

from relay_passes.library import ONCE
from relay_passes.lowering import PASS_CONFIG, lowering_scope, planned_chooser
from relay_passes.targets import as_target, build_scopes, native_target_text
from tvm_go.errors import PlanError, UsageError
from tvm_go.model import planned
from tvm_go.plan import GraphPlan
from tvm_go.tvmc.errors import check_output, one_line
from tvm_go.tvmc.models import load_model

_CHANGES_THE_GRAPH = ("desired_layout", "mixed_precision", "dump_offloads")


@register_parser
def add_graph_plan_option(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Teach the stock `compile` to take a plan, and the target `native`."""
    parser = subparsers.choices["compile"]
    parser.add_argument(
        "--graph-plan",
        metavar="PLAN.json",
        help="build the kernels of this plan (from tune-graph); the target defaults to the plan's.",
    )
    # tvmc's own configuration file sets the target 'llvm'; keep it for builds without a plan.
    parser.set_defaults(func=drive_compile, target=None, configured_target=parser.get_default("target"))


@one_line
def drive_compile(args: argparse.Namespace) -> int:
    """Compile, by a plan if one is given."""
    check_output(Path(args.output), "the library")
    if args.target is not None and args.target.strip() == "native":
        args.target = native_target_text()
    if args.graph_plan is None:
        args.target = args.configured_target if args.target is None else args.target
        return int(compiler.drive_compile(args))
    changing = [name for name in _CHANGES_THE_GRAPH if getattr(args, name, None)]
    if changing or args.opt_level != 3:
        option = changing[0].replace("_", "-") if changing else "opt-level"
        raise UsageError(f"--{option} changes the graph that the plan was made for; leave it out with --graph-plan")
    plan = GraphPlan.load(args.graph_plan)
    args.target = plan.target if args.target is None else args.target
    target = as_target(args.target)
    if str(target) != plan.target:
        raise PlanError(f"{args.graph_plan} is for target '{plan.target}', not '{target}': tune for this target")
    model = load_model(args.FILE, args.model_format, args.input_shapes)
    applied = planned(model.mod, model.params, plan)
    with build_scopes(target):
        chooser = planned_chooser(applied, target)
    args.disabled_pass = [*(args.disabled_pass or []), *ONCE]
    with _planned_model(applied) as args.model_format, contextlib.ExitStack() as scopes:
        if chooser is not None:
            scopes.enter_context(lowering_scope(chooser, target))
            args.pass_config = [*(args.pass_config or []), *(f"{key}={value}" for key, value in PASS_CONFIG.items())]
        status = int(compiler.drive_compile(args))
    if chooser is not None:
        chooser.check()
    return status


class _planned_model:  # noqa: N801  (used as a context manager only)
    """While entered, tvmc has one more front end, which gives the applied module; all stock options hold for it."""

    def __init__(self, applied: tvm.IRModule) -> None:
        class PlannedFrontend(frontends.Frontend):
            @staticmethod
            def name() -> str:
                return "graph-plan"

            @staticmethod
            def suffixes() -> list[str]:
                return []

            def load(self, path: str, shape_dict: Any = None, **_: Any) -> tuple[tvm.IRModule, dict[str, Any]]:
                return applied, {}

        self._frontend = PlannedFrontend

    def __enter__(self) -> str:
        frontends.ALL_FRONTENDS.append(self._frontend)
        return self._frontend.name()

    def __exit__(self, *_: object) -> None:
        frontends.ALL_FRONTENDS.remove(self._frontend)
