"""What a plan takes as a whole beside its kernels, each alone: `python -m benchmarks.whole_from_kernels [MODEL...]`.

For the plans of `benchmarks.end_to_end`, which are made where they are missing. The whole, in a process of its own, and
all kernels one by one are timed in turns, for what shares the machine with us comes and goes. A kernel that is timed
alone finds its weights and inputs in the cache, and nobody walks from kernel to kernel. What walking costs is measured
once, on a chain of softmax; what kernels lose by weights that have left the cache, in turns with the rest
(`benchmarks.cold_weights`); what values lose that others drove out of the cache is charged
(`benchmarks.reuse_distance`). Started again with the same folder, it measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tvm
from rich.console import Console
from rich.table import Table
from tvm import relay

import tvm_go
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
from tvm_go.tuning import tune_graph

_REPEATS, _REPEAT_MS = 10, 50  # of a turn
_STEPS = 64  # of the chain of small kernels


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

    def whole_ms(self, launch_ms: float) -> float:
        """Expected milliseconds of the whole, with so many from kernel to kernel."""
        return self.ms + self.kernels * launch_ms + self.distant_ms + self.weights_ms


Built = Callable[[], tuple[Any, dict[str, Array]]]
"""Gives a library of `relay.build`, and the model's inputs; it is pickled, for a process of its own."""


@dataclass(frozen=True)
class Case:
    """A model, a plan of it, and its build."""

    model: zoo.ZooModel
    plan: GraphPlan
    built: Built

    def times(self, rounds: int) -> tuple[float, Parts]:
        """Milliseconds of the whole, and its parts: medians of turns."""
        config = MeasureConfig()
        model = Model.of_plan(self.model.mod, self.model.params, self.plan)
        num_bytes = constant_bytes(model.graph)
        with (
            OwnProcess(partial(run_whole, self.built, num_bytes)) as process,
            Measurer(target=self.plan.target, config=config) as measurer,
        ):
            turns = [(*map(float, process.run_again()), *self.parts(model, measurer)) for _ in range(rounds)]
        whole_ms, weights_ms, kernels, ms, distant_ms = np.median(np.array(turns), axis=0).tolist()
        return whole_ms, Parts(ms, round(kernels), num_bytes, distant_ms, weights_ms)

    def parts(self, model: Model, measurer: Measurer) -> tuple[int, float, float]:
        """Measure every kernel alone, in its plan's lowering: how many, and milliseconds; and what values lose."""
        os.sched_setaffinity(0, CORES)  # TVM may have bound this thread to one core, which workers would inherit
        with tempfile.TemporaryDirectory() as folder:
            log = TuningLog(Path(folder) / "log.jsonl")
            oracle = KernelOracle(self.plan.target, measurer, log, model=self.model.name)
            measure_probes(oracle)
            probes = {name: ms for (_, _, name), ms in probe_times(log.kernel_records).items()}
            keys = problem_of(model, oracle, rule_set(self.plan.rules), Budget()).paid_keys(self.plan.kernel)
            lowering = dict(zip(keys, self.plan.lowering or [TE] * len(keys), strict=True))
            kernels = model.kernels_of(self.plan.kernel, keys)
            oracle.measure(model.flow, model.graph, [(key, kernel, [lowering[key]]) for key, kernel in kernels.items()])
            paid = [key for key in keys if key]
            distant_ms = lost_ms(model.graph, self.plan.kernel, probes)
            return len(paid), sum(map(oracle.best_ms, paid)), distant_ms


def run_whole(built: Built, weight_bytes: float) -> Run:
    """For a process of its own: each run gives milliseconds of the whole, and what its kernels lose by weights.

    The whole is timed as its kernels are, by TVM's evaluator: called from Python a run takes some 9 us more.
    """
    library, inputs = built()
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

    def times(self, label: str, case: Callable[[], Case]) -> tuple[float, Parts]:
        """As :meth:`Case.times`."""
        known = json.loads(self.file.read_text()) if self.file.exists() else {}
        if label not in known:
            whole_ms, parts = case().times(self.rounds)
            known[label] = [whole_ms, *parts]
            write_whole(self.file, json.dumps(known).encode())
        whole_ms, *of_parts = known[label]
        return whole_ms, Parts(*of_parts)


def case_of(name: str, plan_file: Path) -> Case:
    """A model of the zoo by a plan file."""
    built = partial(peers.planned_library, name, plan_file, len(CORES), seed=0)
    return Case(zoo.load(name), GraphPlan.load(plan_file), built)


def chain() -> zoo.ZooModel:
    """Small kernels one after the other."""
    body = data = relay.var("x", shape=(1, 16))
    for _ in range(_STEPS):
        body = relay.nn.softmax(body)
    return zoo.ZooModel("chain", tvm.IRModule.from_expr(relay.Function([data], body)), {})


def build_chain(plan_file: Path) -> tuple[Any, dict[str, Array]]:
    """Build it by a plan file, in a process of its own."""
    model = chain()
    os.sched_setaffinity(0, CORES)
    library = tvm_go.build(model.mod, model.params, plan=GraphPlan.load(plan_file))
    return library, zoo.input_values(model.mod, 0, {})


def chain_case(folder: Path) -> Case:
    """The chain by the plan that rules give it, with nothing measured."""
    model, plan_file = chain(), folder / "chain.plan.json"
    if not plan_file.exists():
        tune_graph(model.mod, {}, log=folder / "chain.jsonl", name=model.name, budget=0).plan.save(plan_file)
    return Case(model, GraphPlan.load(plan_file), partial(build_chain, plan_file))


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
    chain_ms, links = measured.times("chain", partial(chain_case, args.folder))
    launch_ms = max(chain_ms - links.ms, 0.0) / links.kernels
    console.print(f"from kernel to kernel {1e3 * launch_ms:.2f} us", highlight=False)
    table = Table(title="milliseconds", title_justify="left")
    columns = ("kernels", "MiB of weights", "lost by them", "sum of kernels", "error", "and beside", "error")
    for column in ("model", "whole", *columns):
        table.add_column(column, justify="left" if column == "model" else "right")
    errors = []
    for name in args.models:
        plan_file = plan_files(name, args.folder, args.budget, seed=0)["plan + records"]
        whole_ms, parts = measured.times(name, partial(case_of, name, plan_file))
        expected = parts.whole_ms(launch_ms)
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
