"""What fusion alone gives, per model: default / plan of each strategy, 300 kernels: `python -m benchmarks.fusion`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.zoo import NAMES, load
from tvm_go.result import TuneResult
from tvm_go.search import STRATEGIES
from tvm_go.tuning import tune_graph


def row(name: str, strategy: str, result: TuneResult) -> list[str]:
    """One line of the table."""
    seconds = result.seconds
    return [
        name,
        strategy,
        f"{result.default_ms:.3f}",
        f"{result.found_ms:.3f}",
        f"{result.ratio:.3f}",
        f"{result.ratio_low:.3f} .. {result.ratio_high:.3f}",
        result.verdict,
        f"{result.speedup:.3f}",
        f"{result.kernels_default} -> {result.kernels_plan}",
        f"{result.measured} + {result.from_log}",
        f"{seconds['compile'] + seconds['measure']:.0f}",
        f"{sum(seconds.values()):.0f}",
    ]


def main() -> None:
    """Tune each model and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(NAMES), help="from the zoo; default: all")
    parser.add_argument("--strategies", nargs="+", default=["annealing"], choices=STRATEGIES)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("build/fusion.jsonl"), help="resumes from it")
    args = parser.parse_args()
    console = Console(width=180)
    table = Table(title=f"annealing and others, {args.budget} kernels, seed {args.seed}; whole models, timed in turns")
    columns = ("model", "strategy", "default ms", "found ms", "default / found", "99 % interval", "verdict", "speedup")
    for column in (*columns, "kernels", "measured + log", "build + measure s", "all s"):
        table.add_column(column, justify="right" if column.endswith(("ms", "s", "found", "speedup")) else "left")
    for name in args.models:
        model = load(name)
        for strategy in args.strategies:
            result = tune_graph(
                model.mod,
                model.params,
                log=args.log,
                budget=args.budget,
                strategy_name=strategy,
                rules="wide",
                decide=("fusion",),
                seed=args.seed,
                name=name,
            )
            cells = row(name, strategy, result)
            console.print(" ".join(cells), highlight=False)
            table.add_row(*cells)
    console.print(table)


if __name__ == "__main__":
    main()
