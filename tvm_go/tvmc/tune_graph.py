"""`tvm-go tune-graph MODEL`: search, measure and verify a plan for a model file."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from tvm.driver.tvmc.main import register_parser

from cost_model.config import RpcConfig
from tvm_go.atomic import write_atomically
from tvm_go.board import Board, quiet_writer
from tvm_go.callbacks import Together, TuneCallbacks
from tvm_go.errors import MeasureError, UsageError
from tvm_go.placing import GO
from tvm_go.report import run_page
from tvm_go.result import TuneResult
from tvm_go.rules import RULE_SET_NAMES
from tvm_go.run_record import RunRecord
from tvm_go.search import STRATEGIES
from tvm_go.search.placement import STRATEGIES as PLACEMENTS
from tvm_go.tuning import TASKS, tune_graph
from tvm_go.tvmc.errors import check_output, interrupted, one_line
from tvm_go.tvmc.frame import add_command, add_model_options
from tvm_go.tvmc.models import load_model
from tvm_go.tvmc.progress import progress_on
from tvm_go.tvmc.render import render
from tvm_go.tvmc.screen import table_console
from tvm_go.tvmc.trackers import tracker_address

_EXAMPLE = """\
tvm-go tune-graph model.onnx --budget 300 -o plan.json
tvm-go compile model.onnx --graph-plan plan.json -o model.tar
"""
_STRATEGY = "annealing"  # unless a policy is given
_NO_OPTIONS = ("func", "verbose", "quiet", "json")  # of what the parser gives, not worth a line in TensorBoard


@register_parser
def add_tune_graph_parser(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Include parser for 'tune-graph' subcommand."""
    parser = add_command(
        subparsers,
        "tune-graph",
        drive_tune_graph,
        text="decide how each op is computed and which form one kernel, by measuring.",
        usage="MODEL [--target T] [--budget N] [-o PLAN.json] [...]",
        example=_EXAMPLE,
    )
    number: dict[str, Any] = {"metavar": "N", "type": int}
    parser.add_argument("FILE", metavar="MODEL", help="model file: ONNX, PyTorch, TFLite, Relay text, ...")
    parser.add_argument("--target", metavar="T", default="native", help="default: native, this machine's CPU.")
    parser.add_argument(
        "-o", "--output", metavar="PLAN.json", help="where to write the plan; default: MODEL.plan.json."
    )
    parser.add_argument("--log", default="tvm-go.jsonl", help="tuning log to use and extend; default: %(default)s.")
    names = ", ".join(f"{name} (default)" if name == _STRATEGY else name for name in STRATEGIES)
    parser.add_argument("--strategy", metavar="S", choices=STRATEGIES, help=f"{names}.")
    parser.add_argument("--policy", metavar="P.pt", help="of tvm-go train, for strategy go; default: that of tvm-go.")
    parser.add_argument(
        "--rules",
        metavar="R",
        default="open",
        choices=RULE_SET_NAMES,
        help=f"what a kernel may hold: {', '.join(RULE_SET_NAMES)}; default: %(default)s.",
    )
    parser.add_argument(
        "--budget", default=200, help="kernels to ask for, 0: a plan by rule; default: %(default)s.", **number
    )
    parser.add_argument("--seconds", metavar="S", type=float, default=float("inf"), help="time limit of the search.")
    parser.add_argument("--seed", default=0, help="same seed and log: same plan; default: %(default)s.", **number)
    parser.add_argument(
        "--decide", nargs="+", default=TASKS, choices=TASKS, help="what the plan decides; default: all of it."
    )
    parser.add_argument(
        "--kernel-trials", default=0, help="schedules to try for the plan's kernels; default: %(default)s.", **number
    )
    parser.add_argument(
        "--no-shipped-records", action="store_true", help="leave out the tuned kernels that come with tvm-go."
    )
    parser.add_argument("--records", metavar="FILE", help="another log whose tuned kernels to try too.")
    parser.add_argument("--cost-model", metavar="FILE", help="predict kernels, measure fewer; 'shipped': by ours.")
    parser.add_argument(
        "--placement", default="portfolio", choices=PLACEMENTS, metavar="S", help="on several devices; see place."
    )
    parser.add_argument("--rpc-tracker", metavar="H:P", help="measure through this tracker; default: our own.")
    parser.add_argument("--rpc-key", metavar="KEY", help="key of the devices at the tracker.")
    add_model_options(parser)
    parser.add_argument("--report", metavar="R.html", help="write what happened in the run as one HTML page.")
    parser.add_argument("--tensorboard", metavar="DIR", help="write figures of the run for TensorBoard while it runs.")
    parser.add_argument("--no-ablation", action="store_true", help="do not measure what each decision adds.")
    parser.add_argument("--quiet", action="store_true", help="print the verdict only.")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout.")


@one_line
def drive_tune_graph(args: argparse.Namespace) -> int:
    """Tune, write the plan, print what was found."""
    _check_numbers(args)
    args.strategy = args.strategy or (_STRATEGY if args.policy is None else GO)
    rpc = _rpc(args)
    output = Path(args.output or Path(args.FILE).with_suffix(".plan.json").name)
    check_output(output, "the plan")
    _check_report(args, output)
    resume = f"what was measured is in {args.log}, and the same command goes on from there"
    run, quiet = RunRecord(), args.quiet or args.json
    with (
        contextlib.redirect_stdout(sys.stderr),  # stdout is for the result
        _board(args, run) as board,
        progress_on(Console(stderr=True), run, budget=args.budget, seconds=args.seconds, quiet=quiet) as shown,
    ):
        model = load_model(args.FILE, args.model_format, args.input_shapes)
        try:
            result = tune_graph(
                model.mod,
                model.params,
                target=args.target,
                log=args.log,
                budget=args.budget,
                seconds=args.seconds,
                strategy_name=args.strategy,
                policy=args.policy,
                rules=args.rules,
                seed=args.seed,
                decide=args.decide,
                kernel_trials=args.kernel_trials,
                shipped_records=not args.no_shipped_records,
                extra_records=args.records,
                cost_model=args.cost_model,
                placement=args.placement,
                rpc=rpc,
                name=Path(args.FILE).stem,
                ablate=not args.no_ablation,
                callbacks=Together(run, shown, board),
            )
        except MeasureError as error:
            raise MeasureError(f"{error}; {resume}" if run.kernels else str(error)) from error
        except KeyboardInterrupt:
            return interrupted(resume if run.kernels else "")
    result.plan.save(output)
    if args.json:
        print(json.dumps({**result.to_json(), "plan_path": str(output), "log_path": str(args.log)}))
    else:
        console = table_console()
        render(result, output, console, brief=args.quiet)
    if args.report is not None:
        _write_report(args, result, run, output)
    if result.verdict == "interrupted":
        return interrupted(f"the best plan so far is in {output}, not verified; {resume}")
    return 0


@contextlib.contextmanager
def _board(args: argparse.Namespace, run: RunRecord) -> Iterator[TuneCallbacks]:
    """Callbacks that write for TensorBoard, if that is asked for; if they cannot any longer, the run goes on."""
    if args.tensorboard is None:
        yield TuneCallbacks()
        return
    options = {name: value for name, value in vars(args).items() if name not in _NO_OPTIONS}
    with quiet_writer():
        board = Board(Path(args.tensorboard), run, name=Path(args.FILE).stem, options=options)
        try:
            yield board
        finally:
            board.close()
    if board.figures.error:
        print(f"tvm-go: warning: the figures for TensorBoard are not whole ({board.figures.error})", file=sys.stderr)


def _check_report(args: argparse.Namespace, output: Path) -> None:
    """Make sure, before anything is spent, that the report can be written and is no other file of the run."""
    if args.report is None:
        return
    report = Path(args.report)
    check_output(report, "the report", option="--report")
    for what, path in (("the plan", output), ("the log", Path(args.log)), ("the model", Path(args.FILE))):
        if report.resolve() == path.resolve():
            raise UsageError(f"--report '{report}' is {what} of this run: give the report a file of its own")


def _write_report(args: argparse.Namespace, result: TuneResult, run: RunRecord, output: Path) -> None:
    command = shlex.join(["tvm-go", *sys.argv[1:]])
    content = run_page(result, run, command=command, files={"plan": str(output), "log": str(args.log)})
    try:
        write_atomically(Path(args.report), content.encode())
    except OSError as error:
        raise UsageError(
            f"cannot write the report to '{args.report}' ({error.strerror}); the plan is in {output}, and the same "
            "command with another --report measures nothing again"
        ) from error
    if not (args.json or args.quiet):
        print(f"report: {args.report}, open it in a browser")


def _check_numbers(args: argparse.Namespace) -> None:
    """Argparse knows types, not ranges."""
    for option in ("budget", "kernel_trials", "seed"):
        if getattr(args, option) < 0:
            name = option.replace("_", "-")
            raise UsageError(f"--{name} is {getattr(args, option)}; it must be 0 or more")
    if not args.seconds > 0:
        raise UsageError(f"--seconds is {args.seconds:g}; it must be more than 0")


def _rpc(args: argparse.Namespace) -> RpcConfig | None:
    if bool(args.rpc_tracker) != bool(args.rpc_key):
        raise UsageError("--rpc-tracker and --rpc-key belong together: give both, or none for a server of our own")
    if not args.rpc_tracker:
        return None
    host, port = tracker_address(args.rpc_tracker, "--rpc-tracker")
    return RpcConfig(tracker_host=host, tracker_port=port, key=args.rpc_key)
