"""Splits of the graphs of dnn-partitioning by strategy: `python -m benchmarks.dnn_partitioning --seconds 60`.

Values are what the judge of `../shared/tools/score_split.py` says of the split that was written, beside the best figure
that was known before for each graph.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

from tvm_go.placing import place
from tvm_go.search.placement import UNLIMITED, PlacementBudget
from tvm_go.search.placement.portfolio import compile_searches
from tvm_go.simulate.dnn_partitioning import read, write_split

SHARED = Path(__file__).parents[2] / "shared"

#: The best of the published solvers' and a plain annealing's figures for throughput; the greedy solver's for latency.
REFERENCES_MS = {
    "throughput": {
        "LayerGraphs/bert24_inference": 17.715,
        "LayerGraphs/bert24_training": 39.790,
        "LayerGraphs/resnet50_inference": 33.775,
        "LayerGraphs/resnet50_training": 78.134,
        "LayerGraphs/inceptionv3_inference": 52.182,
        "OperatorGraphs/bert_l-3_inference": 21.908,
        "OperatorGraphs/bert_l-3_training": 54.207,
        "OperatorGraphs/bert_l-6_inference": 29.580,
    },
    "latency": {
        "LayerGraphs/bert24_inference": 100.219,
        "LayerGraphs/resnet50_inference": 4197.06,
        "LayerGraphs/inceptionv3_inference": 2485.24,
        "OperatorGraphs/bert_l-3_inference": 416.204,
        "OperatorGraphs/bert_l-6_inference": 494.135,
    },
}


@dataclass(frozen=True)
class Row:
    """One strategy on one graph; ``judged_ms`` is None if it found no feasible split."""

    objective: str
    graph: str
    reference_ms: float
    strategy: str
    judged_ms: float | None
    lower_bound_ms: float
    seconds: float
    evaluations: int


def measured(objective: str, graph: str, strategy: str, budget: PlacementBudget, seed: int) -> Row:
    """Run one strategy on one graph, and have the judge score what it wrote."""
    path = SHARED / "data" / "dnn-partitioning" / f"{objective}-inputs" / f"{graph}.json"
    workload, machine = read(path)
    found = place(workload, machine, objective, strategy=strategy, budget=budget, seed=seed)
    judged_ms = None
    if found.feasible:
        with tempfile.TemporaryDirectory() as folder:
            split = Path(folder) / "split.json"
            write_split(split, workload, machine, found.device)
            judged_ms = judged(json.loads(path.read_text()), json.loads(split.read_text()), objective)
    return Row(
        objective,
        graph,
        REFERENCES_MS[objective][graph],
        strategy,
        judged_ms,
        found.lower_bound,
        found.seconds,
        found.evaluations,
    )


def judged(graph: object, split: object, objective: str) -> float:
    """What the judge says; it raises its own error for a split that breaks a constraint."""
    judge = _judge()
    return float(getattr(judge, objective)(graph, judge.load_split(graph, split)))


def _judge() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_split", SHARED / "tools" / "score_split.py")
    assert spec is not None and spec.loader is not None
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    return judge


def main() -> None:
    """Print one table for each objective, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each graph and strategy")
    parser.add_argument("--budget", type=int, default=UNLIMITED, help="evaluations at most; default: no limit")
    parser.add_argument("--objective", choices=sorted(REFERENCES_MS), nargs="*", default=sorted(REFERENCES_MS))
    parser.add_argument("--strategy", nargs="*", default=["portfolio"], help="as of `tvm-go place`")
    parser.add_argument("--graph", nargs="*", help="such as LayerGraphs/bert24_inference; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object for each row instead of tables")
    arguments = parser.parse_args()
    budget = PlacementBudget(arguments.budget, arguments.seconds)
    console = Console()
    for objective in arguments.objective:
        compile_searches(objective)
        table = Table(title=f"{objective}, milliseconds; {arguments.seconds:g} s for each")
        for column in ("graph", "reference", *arguments.strategy, "lower bound"):
            table.add_column(column, justify="left" if column == "graph" else "right")
        for graph, reference_ms in REFERENCES_MS[objective].items():
            if arguments.graph and graph not in arguments.graph:
                continue
            rows = [measured(objective, graph, one, budget, arguments.seed) for one in arguments.strategy]
            if arguments.json:
                for row in rows:
                    print(json.dumps(asdict(row)), flush=True)
                continue
            cells = ["-" if row.judged_ms is None else f"{row.judged_ms:.3f}" for row in rows]
            bound = max(row.lower_bound_ms for row in rows)
            table.add_row(graph, f"{reference_ms:.3f}", *cells, f"{bound:.3f}")
        if not arguments.json:
            console.print(table)


if __name__ == "__main__":
    main()
