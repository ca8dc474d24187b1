"""Tune a model's graph: prepare, choose forms, search, measure, verify; from a Relay module to a plan."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relay

from cost_model.config import MeasureConfig, RpcConfig
from cost_model.kernel_tuning import isa_of, tune_kernels
from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from cost_model.predictor import Predictor
from cost_model.pretrained import cost_model_of
from cost_model.probes import measure_probes
from cost_model.provenance import host_cpu, versions
from cost_model.rpc import RpcConnection
from relay_passes.back_ends import check_back_end
from relay_passes.target_set import TargetSet
from relay_passes.targets import takes_tir
from tuning_logs import PlanRecord, TuningLog
from tuning_logs.shipped import shipped_forms
from tvm_go.by_rule import lowerings_by_rule
from tvm_go.callbacks import Teller, TuneCallbacks
from tvm_go.candidates import Candidates, fastest
from tvm_go.detailing import detailed, times_of_oracles
from tvm_go.device_memory import check_memory
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.interrupts import sure_interrupts
from tvm_go.lowering import TE
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.problems import problem_of
from tvm_go.result import TuneResult, summarize
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem, strategy
from tvm_go.search.placement import strategy as placement_strategy
from tvm_go.tune_devices import best_placed, on_set, oracles_of
from tvm_go.tuned_kernels import tunable_kernels, tuned_lowerings
from tvm_go.verification import measured_plan, speedup, verified, verified_in_forms

if TYPE_CHECKING:  # it brings torch and DGL, which only one strategy needs
    from tvm_go.policy import Checkpoint

TASKS = ("variants", "lowering", "fusion")
"""What a plan decides."""

_FOR_VARIANTS = 0.5  # of what is left of a budget: the most that may go into measuring forms of ops one by one


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
    policy: str | Path | Checkpoint | None = None,
    rules: str = "open",
    seed: int = 0,
    decide: Sequence[str] = TASKS,
    kernel_trials: int = 0,
    shipped_records: bool = True,
    extra_records: str | Path | None = None,
    cost_model: str | Path | None = None,
    placement: str = "portfolio",
    rpc: RpcConfig | None = None,
    measure: MeasureConfig | None = None,
    name: str = "model",
    ablate: bool = False,
    callbacks: TuneCallbacks | None = None,
) -> TuneResult:
    """Search, measure and verify a plan; see :func:`tvm_go.tune` for the parameters.

    A KeyboardInterrupt ends the search; the result then carries the best plan so far, not verified.
    """
    callbacks = callbacks or TuneCallbacks()
    search, rule = strategy(strategy_name, policy), rule_set(rules)
    placement_strategy(placement)
    unknown = sorted(set(decide) - set(TASKS))
    if unknown:
        raise UsageError(f"there is no task '{unknown[0]}' to decide; there are {', '.join(TASKS)}")
    for option, value in (("seed", seed), ("budget", budget), ("kernel_trials", kernel_trials)):
        if value < 0:
            raise UsageError(f"{option} {value} is negative: give 0 or more")
    targets = TargetSet.parse(target)
    parsed = targets.host
    for one in targets.targets:
        check_back_end(one)
    lower = "lowering" in decide and takes_tir(parsed)
    tuned = tuned_lowerings(parsed, shipped=shipped_records and lower, extra=extra_records)
    regressor = cost_model_of(cost_model, isa=isa_of(parsed), target=str(parsed)) if cost_model is not None else None
    watch, teller = Stopwatch(), Teller(callbacks, budget=budget, kernel_trials=kernel_trials)
    with contextlib.ExitStack() as scopes:
        scopes.enter_context(sure_interrupts())
        records = scopes.enter_context(_log_of(log))
        connection = scopes.enter_context(RpcConnection(rpc, devices=targets.names))
        measurer = scopes.enter_context(Measurer(target=parsed, config=measure, connection=connection))
        with watch.stage("prepare", callbacks):
            known = shipped_forms(isa_of(parsed)) if shipped_records else {}
            vary = "variants" in decide
            candidates = Candidates.prepare(mod, params, parsed, vary=vary, known=known, by_tir=lower)
            default = candidates.default
        if not default.graph.num_ops:
            raise UnsupportedModelError(
                "the model holds no operator, or TVM folded all of them into constants: nothing is left to plan; "
                "is the file whole, and does the model have inputs?"
            )
        own_device = np.zeros(int(default.default.max()) + 1, dtype=np.int32)
        memory_bytes = [measurer.served().memory_bytes]
        check_memory(default.graph, default.default, own_device, targets.names[:1], memory_bytes)
        oracle = KernelOracle(str(parsed), measurer, records, callbacks.on_measure, tuned, try_tir=lower, model=name)
        oracles = scopes.enter_context(oracles_of(targets, oracle, callbacks, measure=measure))
        limits = Budget(kernels=budget, seconds=seconds)
        times: dict[str, float] = {}  # of all kernels that were asked for, by key

        def asked(model: Model) -> Problem:
            return problem_of(model, oracle, rule, limits, on_progress=teller.whole, known=times)

        baseline = asked(default)
        te_ms: float | None = None  # of the default plan's kernels
        with watch.stage("default", callbacks):
            if budget:
                baseline.cost_default()
                te_ms = sum(oracle.te_ms(key) for key in baseline.paid_keys(default.default) if key)
                if not np.isfinite(te_ms):
                    raise UnsupportedModelError(_default_failure(oracle))
        if regressor is not None and budget:  # all of the default is measured, in TE as well
            measure_probes(oracle)
            oracle.predictor = Predictor(regressor, oracle.target, measurer.served().model, oracle.log.kernel_records)
        problem, model = baseline, default

        def found_plan() -> GraphPlan:
            details = _provenance(problem, strategy_name, seed, name) | {"sum_of_default_kernels_ms": te_ms}
            if candidates.reason:
                details["without_variants"] = candidates.reason
            if budget or not lower:
                return measured_plan(problem, model, problem.best, oracle, **details)
            lowering = lowerings_by_rule(model.graph, problem.best, problem.paid_keys(problem.best), oracle.tuned)
            return model.plan(problem.best, rules, lowering, **details)

        tried: list[tuple[PlanRecord, Model]] = []

        def try_whole(problem: Problem, model: Model) -> float:
            tried.append((verified_in_forms(default, problem, model, name, oracle), model))
            callbacks.on_plan(tried[-1][0])
            return speedup(tried[-1][0])

        record, placed = None, None
        with contextlib.suppress(KeyboardInterrupt):  # what was measured is logged; the best plan so far is returned
            with watch.stage("variants", callbacks):
                if te_ms is not None:
                    teller.default(te_ms, baseline)
                if budget and candidates.vary:
                    part = Budget(len(times) + int(_FOR_VARIANTS * (budget - len(times))), _FOR_VARIANTS * seconds)
                    candidates.search(oracle, rule, part, times, teller.piece)
                problems = [(baseline, default), *((asked(model), model) for model in candidates.models[1:])]
                problem, model = problems[-1]
                if budget:
                    problem, model = fastest(problems, try_whole)
            with watch.stage("search", callbacks):
                if budget and "fusion" in decide:
                    search(problem, np.random.default_rng(seed))
            if kernel_trials:
                with watch.stage("tune", callbacks):
                    keys = problem.paid_keys(problem.best)
                    tune_kernels(
                        tunable_kernels(model, problem.best, keys),
                        oracle,
                        trials=kernel_trials,
                        seed=seed,
                        target=parsed,
                        seconds=seconds - watch.seconds["search"],
                        on_progress=lambda done: teller.tried(
                            done.spent, sum(oracle.best_ms(key) for key in keys if key)
                        ),
                    )
            with watch.stage("verify", callbacks):
                record = verified(default, model, found_plan(), name, oracle, ablate=ablate)
                callbacks.on_plan(record)
                faster = [(speedup(one), model) for one, model in tried if one.verdict == "faster"]
                if record.verdict != "faster" and faster:
                    _, model = max(faster, key=lambda pair: pair[0])
                    problem = asked(model)
                    problem.cost_default()
                    record = verified(default, model, found_plan(), name, oracle, ablate=ablate)
                    callbacks.on_plan(record)
            if len(oracles) > 1 and budget:
                with watch.stage("devices", callbacks):
                    found = (model, found_plan(), record)
                    placed = best_placed(
                        targets, oracles, candidates, found, rule, callbacks, strategy=placement, seed=seed, times=times
                    )
        everywhere = oracles.values()
        stages = [watch.seconds.get(stage, 0.0) for stage in ("default", "variants", "search", "tune", "devices")]
        compiling = sum(one.measurer.build_seconds for one in everywhere)
        measuring = sum(one.measurer.run_seconds for one in everywhere)
        spent = {
            "prepare": watch.seconds["prepare"],
            "compile": compiling,
            "measure": measuring,
            "search": sum(stages) - compiling - measuring,
            "verify": watch.seconds.get("verify", 0.0),
        }
        counts = (
            sum(one.measured for one in everywhere),
            sum(one.hits for one in everywhere),
            sum(map(oracle.is_guess, oracle.guesses)),
        )
        own = on_set(default.plan(default.default, "tvm"), targets)
        plan = on_set(found_plan(), targets)
        if placed is not None:
            plan, model, record = placed.plan, placed.model, placed.record
            problem = asked(model)
        result = summarize((baseline, own), problem, plan, record, oracles, counts, spent)
        return replace(result, plan=detailed(result.plan, (default, model), times_of_oracles(oracles)))


def _provenance(problem: Problem, strategy_name: str, seed: int, name: str) -> dict[str, Any]:
    return {
        "model": name,
        "strategy": strategy_name,
        "seed": seed,
        "budget": problem.budget.kernels,
        "kernels_asked": problem.spent,
        "sum_of_kernels_ms": problem.best_ms if problem.spent else None,
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


def _default_failure(oracle: KernelOracle) -> str:
    """Which kernel of the default plan fails, and why."""
    failed = [
        by_lowering[TE]
        for by_lowering in oracle.answers.values()
        if TE in by_lowering and not by_lowering[TE].succeeded
    ]
    first = failed[0]
    reason = " ".join((first.error_msg or "no message").split())
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return (
        f"TVM's own default kernel {first.ops}{more} cannot be compiled and run on this target "
        f"({first.error_kind}: {reason}); choose another target, or change these ops"
    )
