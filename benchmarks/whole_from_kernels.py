"""What a plan takes as a whole beside the sum of its kernels: `python -m benchmarks.whole_from_kernels [MODEL...]`.

For the plans that `benchmarks.end_to_end` made. Kernels are measured one by one, each in its plan's lowering; the whole
runs in a process of its own. Of both the fastest visit counts: what shares the machine with us only ever adds time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.own_process import CORES, OwnProcess
from benchmarks.peers import MODELS, planned_build
from benchmarks.zoo import load
from cost_model.config import MeasureConfig
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from tuning_logs import TuningLog
from tvm_go.lowering import TE
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.problems import problem_of
from tvm_go.rules import rule_set
from tvm_go.search import Budget

_ROUNDS, _ROUND_SECONDS = 15, 0.2


def sum_of_kernels(name: str, plan: GraphPlan, measurer: Measurer, log: TuningLog) -> float:
    """Milliseconds of all kernels of a plan, each measured alone."""
    zoo = load(name)
    model = Model.of_plan(zoo.mod, zoo.params, plan)
    os.sched_setaffinity(0, CORES)  # TVM may have bound this thread to one core, which workers would inherit
    oracle = KernelOracle(plan.target, measurer, log, model=name)
    keys = problem_of(model, oracle, rule_set(plan.rules), Budget()).paid_keys(plan.kernel)
    lowering = dict(zip(keys, plan.lowering or [TE] * len(keys), strict=True))
    kernels = model.kernels_of(plan.kernel, keys)
    oracle.measure(model.flow, model.graph, [(key, kernel, [lowering[key]]) for key, kernel in kernels.items()])
    return sum(oracle.best_ms(key) for key in keys if key)


def whole(name: str, plan_file: Path) -> float:
    """Milliseconds of a plan's build: the least of the medians of several rounds."""
    with OwnProcess(planned_build(name, "plan", plan_file).prepare) as process:
        return min(statistics.median(process.times_ms(_ROUND_SECONDS)) for _ in range(_ROUNDS))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--folder", type=Path, default=Path("build/end_to_end"), help="of plans; default: %(default)s")
    parser.add_argument("--visits", type=int, default=3, help="of each kernel; default: %(default)s")
    args = parser.parse_args()
    console = Console(width=160)
    table = Table(title="milliseconds", title_justify="left")
    for column in ("model", "whole", "sum of its kernels", "error"):
        table.add_column(column, justify="left" if column == "model" else "right")
    errors = []
    for name in args.models:
        path = args.folder / f"{name}.plan_with_records.plan.json"
        plan = GraphPlan.load(path)
        with (
            tempfile.TemporaryDirectory() as folder,
            Measurer(target=plan.target, config=MeasureConfig(visits=args.visits)) as measurer,
        ):
            expected = sum_of_kernels(name, plan, measurer, TuningLog(Path(folder) / "log.jsonl"))
        measured = whole(name, path)
        errors.append(abs(expected / measured - 1))
        table.add_row(name, f"{measured:.3f}", f"{expected:.3f}", f"{100 * (expected / measured - 1):+.1f} %")
    console.print(table)
    console.print(
        f"within 10 %: {sum(error <= 0.1 for error in errors)} of {len(errors)}; median {np.median(errors):.1%}"
    )


if __name__ == "__main__":
    main()
