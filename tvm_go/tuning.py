"""Tune a model's graph: prepare, search, measure, verify; from a Relay module to a plan and what is known of it."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import relay

from cost_model.config import MeasureConfig, RpcConfig
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from cost_model.provenance import host_cpu, versions
from cost_model.whole_model import WholeOutcome, compare_whole
from relay_passes.dataflow import Dataflow, read
from relay_passes.extract import to_graph
from relay_passes.fuse_ops import default_partition
from relay_passes.prepare import prepare
from relay_passes.targets import as_target
from tuning_logs import KernelRecord, PlanRecord, TuningLog
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.graph import Int32, OpGraph
from tvm_go.plan import GraphPlan
from tvm_go.result import TuneResult, summarize
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem, strategy


class TuneCallbacks:
    """What a caller may follow; every method may be overridden and does nothing by default."""

    def on_stage(self, name: str) -> None:
        """A stage begins: ``prepare``, ``default``, ``search``, ``verify``."""

    def on_kernel(self, record: KernelRecord, from_log: bool) -> None:
        """A kernel's time is known."""

    def on_progress(self, problem: Problem) -> None:
        """The search has asked for kernels."""


@dataclass(frozen=True)
class Model:
    """A prepared model on one target, in all the forms that the stages need."""

    mod: tvm.IRModule
    flow: Dataflow
    graph: OpGraph
    default: Int32
    target: tvm.target.Target

    @staticmethod
    def prepare(
        mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None, target: tvm.target.Target
    ) -> Model:
        """Run TVM's passes before fusion, read the graph, and find FuseOps' partition."""
        prepared = prepare(mod, params, target=target)
        flow = read(prepared)
        return Model(prepared, flow, to_graph(flow), default_partition(prepared, target=target), target)

    def plan(self, kernel: Int32, rules: str, **provenance: Any) -> GraphPlan:
        """A partition as a plan for this model."""
        return GraphPlan(kernel, rules, self.graph.structural_hash, str(self.target), provenance)


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str, callbacks: TuneCallbacks) -> Iterator[None]:
        """Time a stage, and tell the caller of it."""
        callbacks.on_stage(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def tune_graph(
    mod: tvm.IRModule | relay.Function,
    params: Mapping[str, Any] | None = None,
    *,
    target: str | tvm.target.Target = "native",
    log: str | Path | None = None,
    budget: int = 200,
    seconds: float = float("inf"),
    strategy_name: str = "annealing",
    rules: str = "wide",
    seed: int = 0,
    rpc: RpcConfig | None = None,
    measure: MeasureConfig | None = None,
    name: str = "model",
    callbacks: TuneCallbacks | None = None,
) -> TuneResult:
    """Search, measure and verify a plan; see :func:`tvm_go.tune` for the parameters.

    A KeyboardInterrupt ends the search; the result then carries the best plan so far, not verified.
    """
    callbacks = callbacks or TuneCallbacks()
    search, rule = strategy(strategy_name), rule_set(rules)
    if seed < 0:
        raise UsageError(f"seed {seed} is negative: give 0 or more")
    parsed = as_target(target)
    _check_back_end(parsed)
    watch = Stopwatch()
    with _log_of(log) as records, Measurer(target=str(parsed), config=measure, rpc=rpc) as measurer:
        with watch.stage("prepare", callbacks):
            model = Model.prepare(mod, params, parsed)
        if not model.graph.num_ops:
            raise UnsupportedModelError(
                "the model holds no operator, or TVM folded all of them into constants: nothing is left to plan; "
                "is the file whole, and does the model have inputs?"
            )
        oracle = KernelOracle(model.flow, model.graph, str(parsed), measurer, records, callbacks.on_kernel)
        limits = Budget(kernels=budget, seconds=seconds)
        problem = Problem(model.graph, model.default, rule, oracle, limits, callbacks.on_progress)
        with watch.stage("default", callbacks):
            if problem.cost_default() == float("inf"):
                raise UnsupportedModelError(_default_failure(oracle))
        record = None
        with contextlib.suppress(KeyboardInterrupt):  # what was measured is logged; the best plan so far is returned
            with watch.stage("search", callbacks):
                search(problem, np.random.default_rng(seed))
            found = model.plan(problem.best, rules, **_provenance(problem, strategy_name, seed, name))
            with watch.stage("verify", callbacks):
                record = _verified(model, found, name, measurer, records)
        found = model.plan(problem.best, rules, **_provenance(problem, strategy_name, seed, name))
        searching = watch.seconds["default"] + watch.seconds["search"] - measurer.build_seconds - measurer.run_seconds
        spent = {
            "prepare": watch.seconds["prepare"],
            "compile": measurer.build_seconds,
            "measure": measurer.run_seconds,
            "search": searching,
            "verify": watch.seconds.get("verify", 0.0),
        }
        counts = (oracle.measured, oracle.hits)
        return summarize(problem, found, model.default, record, oracle.records, counts, spent)


def _check_back_end(target: tvm.target.Target) -> None:
    """TVM finds out only when it builds the first kernel."""
    kind = target.kind.name
    if tvm.get_global_func(f"target.build.{kind}", allow_missing=True) is None:
        kinds = sorted(str(name) for name in tvm.target.Target.list_kinds())
        present = [name for name in kinds if tvm.get_global_func(f"target.build.{name}", allow_missing=True)]
        raise UsageError(
            f"this TVM was built without the back end '{kind}' of target '{target}'; it has {', '.join(present)}: "
            f"choose one of these, or install a TVM with {kind}"
        )


def _provenance(problem: Problem, strategy_name: str, seed: int, name: str) -> dict[str, Any]:
    return {
        "model": name,
        "strategy": strategy_name,
        "seed": seed,
        "budget": problem.budget.kernels,
        "kernels_asked": problem.spent,
        "sum_of_kernels_ms": problem.best_ms,
        "sum_of_default_kernels_ms": problem.default_ms,
        "host_cpu": host_cpu(),
        "versions": versions(),
    }


@contextlib.contextmanager
def _log_of(path: str | Path | None) -> Iterator[TuningLog]:
    """The user's log, made sure to be writable before anything is spent; or one that lasts as long as the run."""
    if path is not None:
        log = TuningLog(path)
        log.ensure_writable()
        yield log
        return
    with tempfile.TemporaryDirectory(prefix="tvm-go-log-") as folder:
        yield TuningLog(Path(folder) / "log.jsonl")


def _verified(model: Model, plan: GraphPlan, name: str, measurer: Measurer, log: TuningLog) -> PlanRecord:
    """The verdict on a whole plan: from the log if it stands there, else measured and logged."""
    kind = measurer.device_kind()
    for record in log.plans(plan.workload, plan.target, device_kind=kind):
        if record.plan_key == plan.key:
            return record
    outcome = compare_whole(
        model.mod,
        model.flow,
        model.graph,
        (model.default, plan.kernel),
        target=model.target,
        connection=measurer.connection,
        device_kind=kind,
    )
    if outcome.default_failed:
        raise UnsupportedModelError(f"TVM's default build of the model fails: {outcome.error}")
    record = _plan_record(plan, outcome, name, kind)
    log.append(record)
    return record


def _plan_record(plan: GraphPlan, outcome: WholeOutcome, name: str, device_kind: str) -> PlanRecord:
    checked = outcome.verification
    timing = checked.timing if checked else None
    interval = {"ratio": timing.ratio, "ratio_low": timing.ratio_low, "ratio_high": timing.ratio_high} if timing else {}
    return PlanRecord(
        plan_key=plan.key,
        workload=plan.workload,
        model=name,
        target=plan.target,
        device_kind=device_kind,
        host_cpu=host_cpu(),
        versions=versions(),
        default_ms=timing.default_ms if timing else float("inf"),
        plan_ms=timing.plan_ms if timing else float("inf"),
        verdict=checked.verdict if checked else "failed",
        numerics="unchecked" if checked is None else "ok" if checked.same_numbers else "wrong",
        max_error=checked.max_error if checked else float("inf"),
        kernels=plan.num_kernels,
        plan=plan.to_json(),
        provenance={**plan.provenance, **interval, "error": outcome.error},
    )


def _default_failure(oracle: KernelOracle) -> str:
    """Which kernel of the default plan fails, and why."""
    failed = [record for record in oracle.records.values() if not record.succeeded]
    first = failed[0]
    reason = " ".join((first.error_msg or "no message").split())
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return (
        f"TVM's own default kernel {first.ops}{more} cannot be compiled and run on this target "
        f"({first.error_kind}: {reason}); choose another target, or change these ops"
    )
