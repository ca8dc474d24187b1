"""What a plan takes as a whole beside its kernels, each alone: `python -m benchmarks.whole_from_kernels [MODEL...]`.

For the plans of `benchmarks.end_to_end`, which are made where they are missing. The whole, in a process of its own, and
all kernels one by one are timed in turns, for what shares the machine with us comes and goes. A kernel that is timed
alone finds its weights and inputs in the cache, and nobody walks from kernel to kernel. What weights and walking cost
is measured once, on chains of dense layers and of softmax, and added; so is what values lose that others drove out of
the cache (`benchmarks.reuse_distance`). Started again with the same folder, it measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tvm
from rich.console import Console
from rich.table import Table
from tvm import relay

import tvm_go
from benchmarks import peers, zoo
from benchmarks.end_to_end import plan_files
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

_ROUND_SECONDS = 0.5
_STEPS = 64  # of the chain of small kernels
_LAYERS = (1, 2, 4, 8, 16, 32)
_ROWS, _WIDTH = 128, 1024
_FLOAT_BYTES = 4


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
        What they lose by values that left the cache since they were touched last.
    """

    ms: float
    kernels: int
    constant_bytes: int
    distant_ms: float = 0.0


@dataclass(frozen=True)
class Between:
    """What comes beside kernels on this device.

    Attributes
    ----------
    launch_ms : float
        From kernel to kernel.
    constant_bytes, constant_ms : sequence of float [P]
        What models with so many bytes of weights lose by weights that others have driven out of the cache.
    """

    launch_ms: float
    constant_bytes: Sequence[float]
    constant_ms: Sequence[float]

    def whole_ms(self, parts: Parts) -> float:
        """Expected milliseconds of a plan."""
        known = [0.0, *self.constant_bytes]
        rates = [0.0, *(ms / size for ms, size in zip(self.constant_ms, self.constant_bytes, strict=True))]
        rate = float(np.interp(parts.constant_bytes, known, rates))
        return parts.ms + parts.kernels * self.launch_ms + parts.constant_bytes * rate + parts.distant_ms


@dataclass(frozen=True)
class Case:
    """A model, a plan of it, and what prepares its build for a process of its own."""

    model: zoo.ZooModel
    plan: GraphPlan
    prepare: Callable[[], Run]

    def times(self, rounds: int) -> tuple[float, Parts]:
        """Milliseconds of the whole, and its parts: medians of turns."""
        config = MeasureConfig()
        with OwnProcess(self.prepare) as process, Measurer(target=self.plan.target, config=config) as measurer:
            turns = [(statistics.median(process.times_ms(_ROUND_SECONDS)), self.parts(measurer)) for _ in range(rounds)]
        whole, parts = zip(*turns, strict=True)
        return statistics.median(whole), parts[0]._replace(ms=statistics.median(one.ms for one in parts))

    def parts(self, measurer: Measurer) -> Parts:
        """Measure every kernel alone, in its plan's lowering."""
        model = Model.of_plan(self.model.mod, self.model.params, self.plan)
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
            return Parts(sum(map(oracle.best_ms, paid)), len(paid), constant_bytes(model.graph), distant_ms)


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
    return Case(zoo.load(name), GraphPlan.load(plan_file), peers.planned_build(name, "plan", plan_file).prepare)


def chain(layers: int) -> zoo.ZooModel:
    """So many dense layers with weights of their own; for 0 small kernels one after the other."""
    rng = np.random.default_rng(0)
    body = data = relay.var("x", shape=(_ROWS, _WIDTH) if layers else (1, 16))
    for _ in range(layers or _STEPS):
        if layers:
            weight = rng.normal(0.0, _WIDTH**-0.5, size=(_WIDTH, _WIDTH)).astype(np.float32)
            body = relay.nn.dense(body, relay.const(weight))
        else:
            body = relay.nn.softmax(body)
    return zoo.ZooModel(f"chain of {layers}", tvm.IRModule.from_expr(relay.Function([data], body)), {})


def run_chain(layers: int, plan_file: Path) -> Run:
    """For a process of its own."""
    model = chain(layers)
    os.sched_setaffinity(0, CORES)
    library = tvm_go.build(model.mod, model.params, plan=GraphPlan.load(plan_file))
    return peers.executor_of(library, zoo.input_values(model.mod, 0, {}), len(CORES))


def chain_case(layers: int, folder: Path) -> Case:
    """A chain by the plan that rules give it, with nothing measured."""
    model, plan_file = chain(layers), folder / f"chain{layers}.plan.json"
    if not plan_file.exists():
        log = folder / f"chain{layers}.jsonl"
        tune_graph(model.mod, {}, log=log, name=model.name, budget=0).plan.save(plan_file)
    return Case(model, GraphPlan.load(plan_file), partial(run_chain, layers, plan_file))


def between(folder: Path, measured: Measured) -> Between:
    """Measure what comes beside kernels."""
    whole_ms, parts = measured.times("chain 0", partial(chain_case, 0, folder))
    launch_ms = max(whole_ms - parts.ms, 0.0) / parts.kernels
    sizes, lost_ms = [], []
    for layers in _LAYERS:
        whole_ms, parts = measured.times(f"chain {layers}", partial(chain_case, layers, folder))
        sizes.append(float(layers * _WIDTH * _WIDTH * _FLOAT_BYTES))
        lost_ms.append(max(whole_ms - parts.ms - parts.kernels * launch_ms, 0.0))
    return Between(launch_ms, sizes, lost_ms)


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
    measured = Measured(args.folder / "whole_from_kernels.json", args.rounds)
    beside = between(args.folder, measured)
    console.print(
        f"from kernel to kernel {1e3 * beside.launch_ms:.2f} us; weights lost from the cache:", highlight=False
    )
    for size, ms in zip(beside.constant_bytes, beside.constant_ms, strict=True):
        console.print(f"  {size / 2**20:.0f} MiB: {ms:.2f} ms", highlight=False)
    table = Table(title="milliseconds", title_justify="left")
    for column in ("model", "whole", "kernels", "MiB of constants", "sum of kernels", "error", "and beside", "error"):
        table.add_column(column, justify="left" if column == "model" else "right")
    errors = []
    for name in args.models:
        plan_file = plan_files(name, args.folder, args.budget, seed=0)["plan + records"]
        whole_ms, parts = measured.times(name, partial(case_of, name, plan_file))
        expected = beside.whole_ms(parts)
        errors.append(abs(expected / whole_ms - 1))
        cells = [f"{parts.kernels}", f"{parts.constant_bytes / 2**20:.1f}"]
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
