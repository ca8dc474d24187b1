"""Our plans beside `relay.build`, onnxruntime and PyTorch: `python -m benchmarks.end_to_end [MODEL...]`.

All systems compute the same model on the same inputs with the same threads, each in a process of its own, timed in
turns in one run. Plans are made first, from a log that is kept: started again, it measures only what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import zoo
from benchmarks.own_process import CORES, OwnProcess, PeerError
from benchmarks.peers import MODELS, Peer, max_relative_difference, peers, planned_build, relay_build, start
from tvm_go.plan import GraphPlan
from tvm_go.tuning import tune_graph

_ROUNDS, _ROUND_SECONDS = 20, 0.15  # many short ones: what shares the machine with us comes and goes within seconds
_SLOW_ROUNDS, _SLOW_MS = 4, 500.0
_TOLERANCE = 1e-3
_PLANS: dict[str, dict[str, Any]] = {  # label: options of tune_graph
    "plan": {"shipped_records": False},
    "plan + records": {},
}


def plan_files(name: str, folder: Path, budget: int, seed: int) -> dict[str, Path]:
    """Make the plans of a model that are not there yet; by label. The second goes on from the log of the first."""
    files = {label: folder / f"{name}.{label.replace(' + ', '_with_')}.plan.json" for label in _PLANS}
    if all(path.exists() for path in files.values()):
        return files
    model = zoo.load(name, seed)
    log = folder / f"{name}.jsonl"
    for label, options in _PLANS.items():
        result = tune_graph(model.mod, model.params, log=log, name=name, budget=budget, **options)
        result.plan.save(files[label])
    return files


def times_ms(contenders: Sequence[Peer]) -> dict[str, float | str]:
    """Median milliseconds of each system, in turns; a text where it fails or its numbers differ from the first's."""
    found: dict[str, float | str] = {}
    times: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        running: dict[str, OwnProcess] = {}
        with ThreadPoolExecutor(len(CORES)) as pool:  # each is stopped once it is prepared
            all_started = list(pool.map(start, contenders))
        for contender, started in zip(contenders, all_started, strict=True):
            if isinstance(started, PeerError):
                found[contender.name] = str(started)
            else:
                running[contender.name] = stack.enter_context(started)
        reference = running[contenders[0].name].outputs
        for label, process in running.items():
            difference = max_relative_difference(process.outputs, reference)
            if not difference <= _TOLERANCE:
                found[label] = f"outputs differ by {difference:.1e}"
        for number in range(_ROUNDS):
            for label in [label for label in running if label not in found]:
                if number < _SLOW_ROUNDS or times[label][0] < _SLOW_MS:
                    times.setdefault(label, []).append(statistics.median(running[label].times_ms(_ROUND_SECONDS)))
    return found | {label: statistics.median(rounds) for label, rounds in times.items()}


def measure(name: str, folder: Path, budget: int, seed: int, threads: int) -> dict[str, float | str]:
    """Plan a model and time all systems on it; plans that are equal are one system."""
    files = plan_files(name, folder, budget, seed)
    keys = {label: GraphPlan.load(path).key for label, path in files.items()}
    ours = {keys[label]: planned_build(name, label, path, threads, seed) for label, path in files.items()}
    found = times_ms([relay_build(name, threads, seed), *ours.values(), *peers(name, threads, seed)])
    return found | {label: found[ours[key].name] for label, key in keys.items()}


def table(rows: dict[str, dict[str, float | str]]) -> Table:
    """Milliseconds by model and system, and the two ratios that count."""
    columns = ("relay.build", *_PLANS, "onnxruntime", "torch eager", "torch.compile")
    result = Table(title=f"milliseconds, {len(CORES)} threads", title_justify="left")
    for column in ("model", *columns, "default / plan", "best peer / plan"):
        result.add_column(column, justify="left" if column == "model" else "right")
    for name, times in rows.items():
        cells = [_cell(times.get(column, "")) for column in columns]
        result.add_row(name, *cells, *(f"{ratio:.2f}" for ratio in ratios(times)))
    return result


def ratios(times: dict[str, float | str]) -> tuple[float, float]:
    """`relay.build` and the best peer, each over our plan with records."""
    ours = _number(times.get("plan + records"))
    best = min(_number(times.get(peer)) for peer in ("onnxruntime", "torch eager", "torch.compile"))
    return _number(times.get("relay.build")) / ours, best / ours


def summary(rows: dict[str, dict[str, float | str]]) -> str:
    """The figures over all models."""
    over_default, over_peer = np.array([ratios(times) for times in rows.values()]).T
    return (
        f"geomean over relay.build {np.exp(np.log(over_default).mean()):.2f}x, least {over_default.min():.2f}x; "
        f"ahead of the best peer on {(over_peer > 1).sum()} of {len(rows)}, "
        f"within 1.2x of it on {(over_peer > 1 / 1.2).sum()}"
    )


def _number(value: float | str | None) -> float:
    return value if isinstance(value, float) else float("inf")


def _cell(value: float | str) -> str:
    return f"{value:.3f}" if isinstance(value, float) else value[:24]


def main() -> None:
    """Print the table, and write its figures as JSON beside the plans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--budget", type=int, default=100, help="kernels per plan; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of weights and inputs")
    parser.add_argument("--threads", type=int, default=len(CORES))
    parser.add_argument("--folder", type=Path, default=Path("build/end_to_end"), help="of logs and plans")
    parser.add_argument("--plans-only", action="store_true", help="make the plans, and time nothing")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.plans_only:
        for name in args.models:
            plan_files(name, args.folder, args.budget, args.seed)
        return
    console = Console(width=160)
    rows: dict[str, dict[str, float | str]] = {}
    for name in args.models:
        rows[name] = measure(name, args.folder, args.budget, args.seed, args.threads)
        console.print(name, {key: _cell(value) for key, value in rows[name].items()}, highlight=False)
        (args.folder / "times.json").write_text(json.dumps(rows, indent=1) + "\n")
    console.print(table(rows))
    console.print(summary(rows))


if __name__ == "__main__":
    main()
