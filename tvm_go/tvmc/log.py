"""`tvm-go log`: look at tuning logs, check and merge them, fill them, and learn from them."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tvm.driver.tvmc.main import register_parser

from cost_model.dataset import dataset
from cost_model.regressor import CostModel
from relay_passes.targets import as_target
from tuning_logs import KernelRecord, TuningLog
from tuning_logs.files import kernels_of, records_of, write_whole
from tuning_logs.summary import TargetSummary, summary
from tvm_go.collect import Collected, RandomPlans, collect_into, seed_of
from tvm_go.errors import LogError, UsageError
from tvm_go.measure_again import measure_again
from tvm_go.tvmc.errors import check_output, interrupted, one_line
from tvm_go.tvmc.frame import Command, add_command
from tvm_go.tvmc.models import load_model

_EXAMPLE = """\
example:
  tvm-go log show tvm-go.jsonl
  tvm-go log merge board.jsonl desk.jsonl -o both.jsonl
  tvm-go log collect model.onnx other.onnx --log kernels.jsonl
  tvm-go log train kernels.jsonl -o cost.model
"""


@register_parser
def add_log_parser(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Include parser for 'log' subcommand."""
    parser = subparsers.add_parser(
        "log",
        help="show, check, merge and fill tuning logs, and train a cost model from them.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(func=lambda args: parser.print_help() or 2)
    commands = parser.add_subparsers(title="commands", metavar="")

    def add(name: str, drive: Command, text: str, example: str) -> argparse.ArgumentParser:
        return add_command(commands, name, drive, text=text, example=f"tvm-go log {name} {example}")

    one = add("show", drive_show, "counts, failures by kind and the best plans, for each target.", "tvm-go.jsonl")
    one.add_argument("logs", nargs="+", metavar="LOG")
    one.add_argument("--json", action="store_true", help="print one JSON object on stdout.")
    one = add("check", drive_check, "read every line; exit status 1 if one is no record.", "tvm-go.jsonl")
    one.add_argument("log", metavar="LOG")
    merged = "board.jsonl desk.jsonl -o both.jsonl"
    one = add("merge", drive_merge, "write the distinct records of several logs into one.", merged)
    one.add_argument("logs", nargs="+", metavar="LOG")
    one.add_argument("-o", "--output", required=True, metavar="LOG")
    one = add(
        "collect",
        drive_collect,
        "measure kernels of models by random legal plans, and go on where it was stopped.",
        "model.onnx other.onnx --log kernels.jsonl",
    )
    one.add_argument("models", nargs="+", metavar="MODEL", help="model files: ONNX, PyTorch, TFLite, Relay text, ...")
    _add_measuring(one)
    one.add_argument("--kernels", type=int, default=400, help="distinct kernels of each model; default: %(default)s.")
    one.add_argument("--seed", type=int, default=0)
    one = add(
        "measure",
        drive_measure,
        "measure the kernels of other logs on a target, without their models, and go on where it was stopped.",
        "other-cpu.jsonl.gz --log kernels.jsonl",
    )
    one.add_argument("logs", nargs="+", metavar="LOG", help="what kernels to measure; of any targets.")
    _add_measuring(one)
    one = add("train", drive_train, "learn a cost model from the kernels of logs.", "kernels.jsonl -o cost.model")
    one.add_argument("logs", nargs="+", metavar="LOG")
    one.add_argument("-o", "--output", required=True, metavar="MODEL")
    one.add_argument("--seed", type=int, default=0)


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log", default="kernels.jsonl", help="default: %(default)s.")
    parser.add_argument("--target", metavar="T", default="native", help="default: native, this machine's CPU.")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="when to stop all the same.")


@one_line
def drive_show(args: argparse.Namespace) -> int:
    """Print what logs hold."""
    found = summary([record for path in args.logs for record in records_of(path)])
    if args.json:
        print(json.dumps([one.to_json() for one in found]))
        return 0
    if not found:
        raise LogError(f"{', '.join(args.logs)}: no records")
    console = Console()
    for one in found:
        console.print(_table(one))
    return 0


@one_line
def drive_check(args: argparse.Namespace) -> int:
    """Name every line that is no record."""
    records = records_of(args.log)
    problems: list[str] = []
    if Path(args.log).suffix != ".gz":
        log = TuningLog(args.log)
        problems = log.problems + [f"{args.log}: the last line is cut short"] * log.torn_lines
    for problem in problems:
        print(problem)
    kernels = sum(isinstance(record, KernelRecord) for record in records)
    print(f"{args.log}: {kernels} kernel and {len(records) - kernels} plan records, {len(problems)} problems")
    return 1 if problems else 0


@one_line
def drive_merge(args: argparse.Namespace) -> int:
    """Write the distinct records of several logs, in their order."""
    output = Path(args.output)
    check_output(output, "the merged log")
    lines = dict.fromkeys(record.to_json_line() for path in args.logs for record in records_of(path))
    write_whole(output, "".join(line + "\n" for line in lines).encode())
    print(f"{output}: {len(lines)} records")
    return 0


@one_line
def drive_collect(args: argparse.Namespace) -> int:
    """Measure kernels by random plans, one of each model in turn."""
    target = as_target(args.target)
    log = TuningLog(args.log)
    log.ensure_writable()
    console = Console(stderr=True)
    with contextlib.redirect_stdout(sys.stderr):
        loaded = {path: load_model(path, None, None) for path in args.models}
        models = {
            Path(path).stem: RandomPlans(model.mod, model.params, target, seed_of(Path(path).stem, args.seed))
            for path, model in loaded.items()
        }
    if len(models) < len(args.models):
        raise UsageError("two of the models have one name: kernels are logged by it, so rename one")

    def tell(name: str, collected: Collected) -> None:
        console.print(f"{name}: {len(collected.plans)} plans, {len(collected.kernels)} kernels", highlight=False)

    try:
        collect_into(log, models, target, kernels=args.kernels, seconds=args.seconds, on_plans=tell)
    except KeyboardInterrupt:
        return interrupted(f"what was measured is in {args.log}, and the same command goes on from there")
    return 0


@one_line
def drive_measure(args: argparse.Namespace) -> int:
    """Measure the kernels of logs again, on a target."""
    log = TuningLog(args.log)
    log.ensure_writable()
    records = [record for path in args.logs for record in kernels_of(path)]
    console = Console(stderr=True)

    def tell(done: int, kernels: int) -> None:
        console.print(f"{done} of {kernels} kernels", highlight=False)

    try:
        lost = measure_again(log, records, as_target(args.target), seconds=args.seconds, on_batch=tell)
    except KeyboardInterrupt:
        return interrupted(f"what was measured is in {args.log}, and the same command goes on from there")
    if lost:
        console.print(f"{lost} kernels were left out: this TVM does not build them again as they were", style="yellow")
    return 0


@one_line
def drive_train(args: argparse.Namespace) -> int:
    """Fit a cost model and say how well it explains what it saw."""
    check_output(Path(args.output), "the cost model")
    data = dataset(record for path in args.logs for record in kernels_of(path))
    with Console(stderr=True).status(f"learning from {len(data)} measurements"):
        CostModel.fit(data, seed=args.seed).save(args.output)
    print(
        f"{args.output}: learned from {len(data)} measurements of {len(set(data.keys))} kernels "
        f"on {len(set(data.targets))} target(s); `python -m benchmarks.cost_model` says how good such a model is"
    )
    return 0


def _table(one: TargetSummary) -> Table:
    table = Table(title=f"{one.target} ({one.device_kind}; {', '.join(one.host_cpus)})", title_justify="left",
                  show_header=False)  # fmt: skip
    table.add_row("kernels", f"{one.kernels}, {one.usable} of them usable, {one.described} described")
    table.add_row("measurements", _listed(one.lowerings))
    table.add_row("failures", _listed(one.failures) or "none")
    table.add_row("models", _listed(one.models) or "not named")
    best = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in sorted(one.best.items()))
    table.add_row("plans", f"{one.plans}" + (f"; best: {best}" if best else ""))
    return table


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
