"""`tvm-go compile --graph-plan PLAN.json`, and its twin in Python: stock compile, with the kernels of a plan."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tvm
from tvm.driver.tvmc import compiler, frontends
from tvm.driver.tvmc.composite_target import get_codegen_names
from tvm.driver.tvmc.main import register_parser
from tvm.driver.tvmc.model import TVMCModel, TVMCPackage

from relay_passes.back_ends import check_back_end
from relay_passes.export import cross_compiler_of
from relay_passes.library import ONCE
from relay_passes.lowering import PASS_CONFIG, lowering_scope, planned_chooser
from relay_passes.target_set import TargetSet
from relay_passes.targets import as_target, build_scopes, target_text
from tvm_go.errors import PlanError, UsageError
from tvm_go.model import planned
from tvm_go.plan import GraphPlan
from tvm_go.plan_file import add_to_library
from tvm_go.tvmc.device_library import export_for_devices
from tvm_go.tvmc.errors import check_output, one_line
from tvm_go.tvmc.models import load_model

_CHANGES_THE_GRAPH = ("desired_layout", "mixed_precision", "dump_offloads", "use_vm")
_OPTIONS = {
    "package_path": "output",
    "cross": "cross_compiler",
    "cross_options": "cross_compiler_options",
    "output_format": "output_format",
    "mod_name": "module_name",
    "dump_code": "dump_code",
    "disabled_pass": "disabled_pass",
    "pass_context_configs": "pass_config",
    "tuning_records": "tuning_records",
}
"""Options of `compile_model` as the command line names them."""


@register_parser
def add_graph_plan_option(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Teach the stock `compile` to take a plan, and the target `native`."""
    parser = subparsers.choices["compile"]
    parser.add_argument(
        "--graph-plan",
        metavar="PLAN.json",
        help="build the kernels of this plan (from tune-graph, or in another library); the target defaults to its own.",
    )
    # tvmc's own configuration file sets the target 'llvm'; keep it for builds without a plan.
    parser.set_defaults(func=drive_compile, target=None, configured_target=parser.get_default("target"))


def compile_model(
    model: TVMCModel,
    target: str | None = None,
    *,
    plan: GraphPlan | str | Path | None = None,
    **options: Any,
) -> TVMCPackage:
    """Compile a model as `tvmc.compile` does, by a plan.

    Parameters
    ----------
    model
        From `tvmc.load`.
    target
        TVM target, or ``native``; None takes the plan's, and this machine's CPU without a plan.
    plan
        A plan, or a file that holds one; it is kept in the package, where :meth:`tvm_go.GraphPlan.load` finds it.
        None compiles as stock.
    **options
        Of `tvmc.compile`, such as ``package_path`` and ``cross``.

    Returns
    -------
    tvm.driver.tvmc.model.TVMCPackage
        For `tvmc.run`.

    Raises
    ------
    PlanError
        If the plan is for another model or target.
    UsageError
        If an option would change the graph that the plan was made for.

    Examples
    --------
    >>> model = tvmc.load("small.onnx")
    >>> package = compile_model(model, plan="plan.json", package_path="model.tar")
    >>> result = tvmc.run(package, device="cpu")
    >>> tvm_go.GraphPlan.load("model.tar").key == tvm_go.GraphPlan.load("plan.json").key
    True
    """
    if plan is None:
        text, linker = _stock_target("native" if target is None else target)
        return compiler.compile_model(model, text, **{"cross": linker, **options})
    _check_options(options, options.get("opt_level", 3))
    plan = plan if isinstance(plan, GraphPlan) else GraphPlan.load(plan)
    options = {"package_path": None, **options}
    options["package_path"] = str(options["package_path"] or model.default_package_path())
    devices = _devices_of(plan, target)
    options.setdefault("cross", cross_compiler_of(devices.host))
    if plan.device.any():
        export_for_devices(model, plan, devices, options)
        add_to_library(Path(options["package_path"]), _text_of(plan))
        return TVMCPackage(options["package_path"])
    with _by_plan(model, plan, devices.host, options.pop("disabled_pass", None)) as (applied, text, more):
        configs = [*(options.pop("pass_context_configs", None) or []), *more["pass_config"]]
        compiler.compile_model(
            TVMCModel(applied, {}), text, disabled_pass=more["disabled_pass"], pass_context_configs=configs, **options
        )
    add_to_library(Path(options["package_path"]), _text_of(plan))
    return TVMCPackage(options["package_path"])


@one_line
def drive_compile(args: argparse.Namespace) -> int:
    """Compile, by a plan if one is given."""
    check_output(Path(args.output), "the library")
    if args.graph_plan is None:
        args.target, linker = _stock_target(args.configured_target if args.target is None else args.target)
        args.cross_compiler = args.cross_compiler or linker
        return int(compiler.drive_compile(args))
    _check_options(vars(args), args.opt_level)
    plan = GraphPlan.load(args.graph_plan)
    devices = _devices_of(plan, args.target)  # before the model is read
    args.cross_compiler = args.cross_compiler or cross_compiler_of(devices.host)
    model = load_model(args.FILE, args.model_format, args.input_shapes)
    if plan.device.any():
        export_for_devices(model, plan, devices, {name: getattr(args, own) for name, own in _OPTIONS.items()})
        add_to_library(Path(args.output), _text_of(plan))
        return 0
    with _by_plan(model, plan, devices.host, args.disabled_pass) as (applied, args.target, more):
        args.disabled_pass = more["disabled_pass"]
        args.pass_config = [*(args.pass_config or []), *more["pass_config"]]
        with _planned_model(applied) as args.model_format:
            status = int(compiler.drive_compile(args))
    add_to_library(Path(args.output), _text_of(plan))
    return status


@contextlib.contextmanager
def _by_plan(
    model: TVMCModel, plan: GraphPlan, target: tvm.target.Target, disabled: list[str] | None
) -> Iterator[tuple[tvm.IRModule, str, dict[str, list[str]]]]:
    """The model in the plan's forms and kernels, its target, and what stock compile has to be told to keep them."""
    applied = planned(model.mod, model.params, plan)
    with build_scopes(target):
        chooser = planned_chooser(applied, [target])
    more = {"disabled_pass": [*(disabled or []), *ONCE], "pass_config": []}
    if chooser is None:
        yield applied, str(target), more
        return
    more["pass_config"] = [f"{key}={value}" for key, value in PASS_CONFIG.items()]
    with lowering_scope(chooser):
        yield applied, str(target), more
    chooser.check()


def _stock_target(text: str) -> tuple[str, str | None]:
    """A target as tvmc takes it, and what must link for it; tvmc itself judges lists of targets and TVM's codegens."""
    text = target_text(text)
    kinds = {*get_codegen_names(), *map(str, tvm.target.Target.list_kinds())}
    if any(part.split()[0] in kinds for part in text.split(",")[1:] if part.split()):
        return text, None
    target = as_target(text)
    check_back_end(target)
    return text if str(target) == str(tvm.target.Target(text)) else str(target), cross_compiler_of(target)


def _devices_of(plan: GraphPlan, text: str | None) -> TargetSet:
    devices = TargetSet.parse(plan.target if text is None else text)
    if devices.text != plan.target:
        raise PlanError(f"the plan is for target '{plan.target}', not '{devices.text}': tune for this target")
    return devices


def _check_options(options: Mapping[str, Any], opt_level: int) -> None:
    changing = [name for name in _CHANGES_THE_GRAPH if options.get(name)]
    if changing or opt_level != 3:
        option = changing[0].replace("_", "-") if changing else "opt-level"
        raise UsageError(f"--{option} changes the graph that the plan was made for; leave it out with --graph-plan")


def _text_of(plan: GraphPlan) -> str:
    return json.dumps(plan.to_json())


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
