"""`tvm-go place GRAPH.json`: decide which device runs which op of a graph whose costs are known."""

from __future__ import annotations

import argparse
import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tvm.driver.tvmc.main import register_parser

from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.placing import GO, Placement, place, solve
from tvm_go.search.placement import QUICK, STRATEGIES, UNLIMITED, PlacementBudget, PlacementProblem
from tvm_go.search.placement.portfolio import available, compile_searches
from tvm_go.simulate import Machine, Workload, dnn_partitioning
from tvm_go.simulate.graph_file import SIMULATED, read_graph
from tvm_go.tvmc.errors import check_output, interrupted, one_line
from tvm_go.tvmc.frame import add_command
from tvm_go.tvmc.screen import table_console

if TYPE_CHECKING:  # it brings torch and DGL, which only one strategy needs
    from tvm_go.policy import Policy

_EXAMPLE = """\
tvm-go place bert24_inference.json --objective throughput -o split.json
tvm-go place gnmt.json --objective latency --machine box.toml --seconds 20
tvm-go place gnmt.json --objective latency --machine box.toml --policy mine.pt
"""
_LINE_EVERY_S = 10.0


@register_parser
def add_place_parser(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Include parser for 'place' subcommand."""
    parser = add_command(
        subparsers,
        "place",
        drive_place,
        text="decide which device runs which op of a graph with known costs.",
        usage="GRAPH.json --objective throughput|latency [...]",
        example=_EXAMPLE,
    )
    parser.add_argument("FILE", metavar="GRAPH.json", help="costs of ops and tensors: docs/placement.md.")
    parser.add_argument(
        "--objective", required=True, choices=tuple(SIMULATED), help="least load, or least time of one run."
    )
    parser.add_argument("--machine", metavar="M.toml", help="devices and links; default: those in the graph's file.")
    parser.add_argument(
        "-o", "--output", metavar="SPLIT.json", help="where to write the split; default: GRAPH.split.json."
    )
    names = ", ".join(STRATEGIES)
    parser.add_argument("--strategy", metavar="S", choices=STRATEGIES, help=f"{names}; default: portfolio.")
    parser.add_argument("--policy", metavar="P.pt", help="of tvm-go train, for strategy go; default: that of tvm-go.")
    parser.add_argument("--seconds", metavar="T", type=float, default=60.0, help="time limit; default: 60.")
    parser.add_argument("--budget", metavar="N", type=int, help="evaluations at most; default: no limit.")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="with --budget: same seed, same split.")
    parser.add_argument("--quiet", action="store_true", help="print the verdict only.")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout.")


@one_line
def drive_place(args: argparse.Namespace) -> int:
    """Search for a placement, write it, print what was found."""
    _check_numbers(args)
    strategy = args.strategy or ("portfolio" if args.policy is None else GO)
    policy = _policy(args.policy, strategy)
    path = Path(args.FILE)
    output = Path(args.output or path.with_suffix(".split.json").name)
    check_output(output, "the split")
    workload, machine = read_graph(path, args.machine)
    objective = args.objective if args.machine is None else SIMULATED[args.objective]
    with Console(stderr=True).status("getting ready: searches are compiled on their first use"):
        compile_searches(objective)
    limit = args.budget or UNLIMITED
    problem = PlacementProblem(workload, machine, objective, PlacementBudget(limit, args.seconds))
    baselines: dict[str, Placement] = {}
    for name in available(QUICK):
        if not problem.exhausted:
            baselines[name] = place(workload, machine, objective, strategy=name, budget=problem.budget, seed=args.seed)
            if baselines[name].interrupted:
                return interrupted()
    with _progress(problem, strategy, quiet=args.quiet or args.json):
        placement = solve(problem, strategy, args.seed, policy)
    if not placement.feasible:
        if placement.interrupted:
            return interrupted("no feasible placement was found so far")
        raise UnsupportedModelError(_why_infeasible(workload, machine, placement))
    dnn_partitioning.write_split(output, workload, machine, placement.device)
    if args.json:
        print(json.dumps(_to_json(args.objective, placement, baselines, machine, output)))
    else:
        console = table_console()
        if not args.quiet:
            console.print(_table(placement, baselines))
        console.print(_verdict(args.objective, placement, output), highlight=False, soft_wrap=True)
    if placement.interrupted:
        return interrupted(f"the best placement so far is in {output}")
    return 0


def _check_numbers(args: argparse.Namespace) -> None:
    """Argparse knows types, not ranges."""
    if args.seed < 0:
        raise UsageError(f"--seed is {args.seed}; it must be 0 or more")
    if args.budget is not None and args.budget < 1:
        raise UsageError(f"--budget is {args.budget}; it must be 1 or more")
    if not args.seconds > 0 or (math.isinf(args.seconds) and args.budget is None):
        raise UsageError(f"--seconds is {args.seconds:g}; it must be more than 0, and finite without --budget")


def _policy(path: str | None, strategy: str) -> Policy | None:
    if path is None:
        return None
    if strategy != GO:
        raise UsageError(f"--policy is for --strategy {GO}, not {strategy}; leave one of them out")
    from tvm_go.policy import load_policy

    return load_policy(Path(path), ("placement",)).policy


def _why_infeasible(workload: Workload, machine: Machine, placement: Placement) -> str:
    proven = placement.lower_bound == math.inf
    kept, room = workload.resident_bytes.sum(), machine.memory_bytes.sum()
    share = (
        f"the ops keep {kept / room:.0%} of the memory of {machine.name}" if np.isfinite(room) else "memory is ample"
    )
    head = "infeasible, as is proven" if proven else f"no feasible placement in {placement.seconds:.0f} s"
    return (
        f"{workload.name}: {head}: {share}, in {workload.num_classes} pieces that cannot be divided; "
        "give more memory" + ("" if proven else ", more --seconds or another --strategy")
    )


def _to_json(
    objective: str, placement: Placement, baselines: dict[str, Placement], machine: Machine, output: Path
) -> dict[str, Any]:
    return {
        "objective": placement.value,
        "objective_name": objective,
        "simulated": placement.objective,
        "lower_bound": placement.lower_bound,
        "gap": placement.gap,
        "feasible": placement.feasible,
        "strategy": placement.strategy,
        "evaluations": placement.evaluations,
        "seconds": placement.seconds,
        "interrupted": placement.interrupted,
        "split_path": str(output),
        "devices": {
            device.name: int(ops) for device, ops in zip(machine.devices, _ops_of_each(machine, placement), strict=True)
        },
        "baselines": {name: one.value if one.feasible else None for name, one in baselines.items()},
        "history": [[step.evaluations, step.seconds, step.value] for step in placement.history],
    }


def _ops_of_each(machine: Machine, placement: Placement) -> list[int]:
    return np.bincount(placement.device, minlength=machine.num_devices).tolist()


def _table(placement: Placement, baselines: dict[str, Placement]) -> Table:
    table = Table()
    for column in ("strategy", "ms", "of the best", "seconds"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for name, one in baselines.items():
        if one.feasible:
            table.add_row(name, f"{one.value:.3f}", f"{one.value / placement.value:.3f}", f"{one.seconds:.2f}")
        else:
            table.add_row(name, "none feasible", "", f"{one.seconds:.2f}")
    seconds = f"{placement.seconds:.2f}"
    table.add_row(placement.strategy, f"{placement.value:.3f}", "1.000", seconds, style="bold")
    table.add_row("lower bound", f"{placement.lower_bound:.3f}", f"{1 - placement.gap:.3f}", "")
    return table


def _verdict(objective: str, placement: Placement, output: Path) -> str:
    proof = "proven best" if placement.gap < 1e-5 else f"at most {placement.gap:.1%} above the least possible"
    return f"{objective} {placement.value:.3f} ms, {proof}; {placement.evaluations} evaluations; split in {output}"


@contextmanager
def _progress(problem: PlacementProblem, strategy: str, *, quiet: bool) -> Iterator[None]:
    """A line that follows the best and the bound on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if quiet:
        yield
        return
    over = threading.Event()

    def state() -> str:
        best = f"best {problem.best_value:.3f} ms" if problem.history else "nothing feasible yet"
        return f"{strategy}: {best}, bound {problem.lower_bound:.3f} ms"

    def follow(status: Any) -> None:
        while not over.wait(0.2 if status is not None else _LINE_EVERY_S):
            if status is not None:
                status.update(f"{problem.seconds:5.1f} s  {state()}")
            else:
                console.print(f"{problem.seconds:6.1f} s  {state()}", highlight=False, soft_wrap=True)

    @contextmanager
    def following(status: Any) -> Iterator[None]:
        thread = threading.Thread(target=follow, args=(status,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    if console.is_terminal:
        with console.status("") as status, following(status):
            yield
    else:
        with following(None):
            yield
