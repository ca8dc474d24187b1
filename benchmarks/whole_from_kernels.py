"""What a plan takes as a whole beside its kernels, each alone: `python -m benchmarks.whole_from_kernels [MODEL...]`.

For the plans of `benchmarks.end_to_end`, which are made where they are missing. The whole, in a process of its own, and
all kernels one by one are timed in turns, for what shares the machine with us comes and goes. A kernel that is timed
alone finds its weights and inputs in the cache. What kernels lose by weights that have left it is measured, in turns
with the rest (`benchmarks.cold_weights`); what values lose that others drove out of it is charged
(`benchmarks.reuse_distance`). Started again with the same folder, it measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tvm
from rich.console import Console
from rich.table import Table

from benchmarks import cold_weights, peers, zoo
from benchmarks.end_to_end import plan_files
from benchmarks.light_onnx import Array
from benchmarks.own_process import CORES, OwnProcess, Run
from benchmarks.reuse_distance import lost_ms
from cost_model.config import MeasureConfig
from cost_model.dataset import probe_times
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from cost_model.probes import measure_probes
from tuning_logs import TuningLog
from tuning_logs.files import write_whole
from tvm_go.arrays import sums
from tvm_go.graph import OpGraph, ValueKind
from tvm_go.lowering import TE
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.problems import problem_of
from tvm_go.rules import rule_set
from tvm_go.search import Budget

_REPEATS, _REPEAT_MS = 10, 50  # of a turn


class Parts(NamedTuple):
    """Of a plan.

    Attributes
    ----------
    ms : float
        Milliseconds of its kernels.
    kernels : int
        How many there are.
    constant_bytes : int
        Bytes of the constants that they read.
    distant_ms : float
        What they lose by values that left the cache since they were touched last,
    weights_ms : float
        and by constants.
    """

    ms: float
    kernels: int
    constant_bytes: int
    distant_ms: float
    weights_ms: float

    @property
    def whole_ms(self) -> float:
        """Expected milliseconds of the whole."""
        return self.ms + self.distant_ms + self.weights_ms


@dataclass(frozen=True)
class Case:
    """A model of the zoo, and the file of a plan of it."""

    name: str
    plan_file: Path

    def times(self, rounds: int) -> tuple[float, Parts]:
        """Milliseconds of the whole, and its parts: medians of turns."""
        zoo_model, plan = zoo.load(self.name), GraphPlan.load(self.plan_file)
        model = Model.of_plan(zoo_model.mod, zoo_model.params, plan)
        num_bytes = constant_bytes(model.graph)
        with (
            OwnProcess(partial(run_whole, self.name, self.plan_file, num_bytes)) as process,
            Measurer(target=plan.target, config=MeasureConfig()) as measurer,
        ):
            turns = [(*map(float, process.run_again()), *self.parts(model, plan, measurer)) for _ in range(rounds)]
        whole_ms, weights_ms, kernels, ms, distant_ms = np.median(np.array(turns), axis=0).tolist()
        return whole_ms, Parts(ms, round(kernels), num_bytes, distant_ms, weights_ms)

    def parts(self, model: Model, plan: GraphPlan, measurer: Measurer) -> tuple[int, float, float]:
        """Measure every kernel alone, in its plan's lowering: how many, and milliseconds; and what values lose."""
        os.sched_setaffinity(0, CORES)  # TVM may have bound this thread to one core, which workers would inherit
        with tempfile.TemporaryDirectory() as folder:
            log = TuningLog(Path(folder) / "log.jsonl")
            oracle = KernelOracle(plan.target, measurer, log, model=self.name)
            measure_probes(oracle)
            probes = {name: ms for (_, _, name), ms in probe_times(log.kernel_records).items()}
            keys = problem_of(model, oracle, rule_set(plan.rules), Budget()).paid_keys(plan.kernel)
            lowering = dict(zip(keys, plan.lowering or [TE] * len(keys), strict=True))
            kernels = model.kernels_of(plan.kernel, keys)
            oracle.measure(model.flow, model.graph, [(key, kernel, [lowering[key]]) for key, kernel in kernels.items()])
            paid = [key for key in keys if key]
            distant_ms = lost_ms(model.graph, plan.kernel, probes)
            return len(paid), sum(map(oracle.best_ms, paid)), distant_ms


def run_whole(name: str, plan_file: Path, weight_bytes: float) -> Run:
    """For a process of its own: each run gives milliseconds of the whole, and what its kernels lose by weights.

    The whole is timed as its kernels are, by TVM's evaluator: called from Python a run takes some 9 us more.
    """
    library, inputs = peers.planned_library(name, plan_file, len(CORES), seed=0)
    executor = peers.graph_module(library, inputs, len(CORES))
    calls = cold_weights.calls_of(library)

    def run() -> list[Array]:
        whole = executor.benchmark(tvm.cpu(0), number=1, repeat=_REPEATS, min_repeat_ms=_REPEAT_MS)
        return [np.array(1e3 * whole.median), np.array(cold_weights.lost_ms(calls, weight_bytes))]

    return run


def constant_bytes(graph: OpGraph) -> int:
    """Bytes of constants that a graph reads; of a table that rows are taken from, those of the rows."""
    num_bytes = np.where(graph.value_kind == ValueKind.CONSTANT, graph.value_bytes, 0)
    taken = (graph.use_arg == 0) & (np.array(graph.op_names)[graph.op_name[graph.use_op]] == "take")
    own = graph.value_op >= 0
    made = sums(graph.value_op[own], graph.value_bytes[own], graph.num_ops)
    read = np.where(taken, np.minimum(made[graph.use_op], num_bytes[graph.use_value]), num_bytes[graph.use_value])
    most = np.zeros(graph.num_values)
    np.maximum.at(most, graph.use_value, read)
    return int(most.sum())


@dataclass(frozen=True)
class Measured:
    """Times of cases, kept in a file: what stands there is not measured again."""

    file: Path
    rounds: int

    def times(self, case: Case) -> tuple[float, Parts]:
        """As :meth:`Case.times`."""
        known = json.loads(self.file.read_text()) if self.file.exists() else {}
        if case.name not in known:
            whole_ms, parts = case.times(self.rounds)
            known[case.name] = [whole_ms, *parts]
            write_whole(self.file, json.dumps(known).encode())
        whole_ms, *of_parts = known[case.name]
        return whole_ms, Parts(*of_parts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=peers.MODELS, metavar="MODEL", help=", ".join(peers.MODELS))
    parser.add_argument("--folder", type=Path, default=Path("build/end_to_end"), help="of plans; default: %(default)s")
    parser.add_argument("--budget", type=int, default=100, help="kernels per plan made here; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; default: %(default)s")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    console = Console(width=160)
    measured = Measured(args.folder / "wholes.json", args.rounds)
    table = Table(title="milliseconds", title_justify="left")
    columns = ("kernels", "MiB of weights", "lost by them", "sum of kernels", "error", "and beside", "error")
    for column in ("model", "whole", *columns):
        table.add_column(column, justify="left" if column == "model" else "right")
    errors = []
    for name in args.models:
        plan_file = plan_files(name, args.folder, args.budget, seed=0)["plan + records"]
        whole_ms, parts = measured.times(Case(name, plan_file))
        expected = parts.whole_ms
        errors.append(abs(expected / whole_ms - 1))
        cells = [f"{parts.kernels}", f"{parts.constant_bytes / 2**20:.1f}", f"{parts.weights_ms:.3f}"]
        for ms in (parts.ms, expected):
            cells += [f"{ms:.3f}", f"{100 * (ms / whole_ms - 1):+.1f} %"]
        table.add_row(name, f"{whole_ms:.3f}", *cells)
        console.print(name, f"{whole_ms:.3f}", *cells, highlight=False)
    console.print(table)
    console.print(
        f"within 10 %: {sum(error <= 0.1 for error in errors)} of {len(errors)}; median {np.median(errors):.1%}"
    )


if __name__ == "__main__":
    main()
