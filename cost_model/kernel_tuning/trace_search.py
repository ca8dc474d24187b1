"""MetaSchedule's search over the schedules of one kernel, with measuring left to others; runs inside a searcher."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm import meta_schedule as ms
from tvm.meta_schedule.cost_model import CostModel, RandomModel
from tvm.meta_schedule.cost_model.xgb_model import XGBConfig, XGBModel
from tvm.tir.schedule import Schedule, Trace

from cost_model.kernel_tuning.code_size import builds_quickly
from cost_model.kernel_tuning.tunable import TuningConfig
from relay_passes.schedules import normalized

# TuneContext imports the intrinsics of all targets, 5 s of parsing; the rules below use none of them.
sys.modules.setdefault("tvm.tir.tensor_intrin", types.ModuleType("tvm.tir.tensor_intrin"))

_ENDLESS = 1 << 30
_ITERATIONS = 4  # for one batch; more than one where LLVM could not build most candidates


class TraceSearch:
    """Candidates for one kernel: MetaSchedule's design space for CPUs, evolutionary search, and a cost model.

    RewriteLayout is left out: it changes the types of the kernel's parameters, which are other kernels' outputs here.

    Equal seeds do not give equal candidates: TVM's mutators walk over maps that are ordered by address.

    Parameters
    ----------
    func : PrimFunc
        The kernel's computation, as TVM's TIR converter gives it.
    model : CostModel
        May be shared with other kernels, which then learn from each other.
    """

    def __init__(
        self, func: tvm.tir.PrimFunc, target: tvm.target.Target, model: CostModel, seed: int, config: TuningConfig
    ) -> None:
        self._model = model
        self._batch = config.traces
        self._mod = _module_of(func)
        space = ms.space_generator.PostOrderApply(
            sch_rules=ms.schedule_rule.ScheduleRule.create("llvm"),
            postprocs=[p for p in ms.postproc.Postproc.create("llvm") if not isinstance(p, ms.postproc.RewriteLayout)],
            mutator_probs=ms.mutator.Mutator.create("llvm"),
        )
        context = {"target": target, "rand_state": seed % (1 << 31) or 1, "num_threads": 1}
        designs = ms.TuneContext(self._mod, space_generator=space, **context).generate_design_space()
        free = any(design.trace.decisions for design in designs)  # else each design is one schedule
        strategy = ms.search_strategy.EvolutionarySearch(
            population_size=config.population if free else len(designs),
            init_min_unmeasured=config.population // 2 if free else 1,
            genetic_num_iters=config.generations if free else 0,
        )
        self._context = ms.TuneContext(self._mod, space_generator=space, search_strategy=strategy, **context)
        self._database = ms.database.MemoryDatabase()
        per_iteration = config.traces * 5 // 4  # some turn out equal
        self._context.pre_tuning(_ENDLESS, per_iteration, designs, self._database, model)
        self._workload = self._database.commit_workload(self._mod)
        self._pending: dict[str, Any] = {}
        self._queue: list[str] = []
        self._exhausted = False
        self._learned = 0

    def learn(self, history: Sequence[tuple[str, float]]) -> None:
        """Take in what is new in a history of traces and their milliseconds (``inf`` for failures)."""
        new = history[self._learned :]
        if not new:
            return
        self._learned = len(history)
        candidates, results = [], []
        for text, milliseconds in new:
            candidate = self._pending.pop(text, None) or self._candidate(text)
            failed = milliseconds == math.inf
            run_secs = None if failed else [milliseconds * 1e-3]
            candidates.append(candidate)
            results.append(ms.runner.RunnerResult(run_secs, "failed" if failed else None))
            if not failed:
                self._database.commit_tuning_record(self._record(candidate.sch.trace, run_secs))
        self._context.notify_runner_results(candidates, results)
        self._model.update(self._context, candidates, results)

    def propose(self) -> list[str]:
        """Traces to measure next, as JSON: a whole batch, or what is left when MetaSchedule finds no more."""
        for _ in range(_ITERATIONS):
            if self._exhausted or len(self._queue) >= self._batch:
                break
            candidates = self._context.generate_measure_candidates()
            self._exhausted = not candidates
            found = {_text_of(one.sch.trace): one for one in candidates or () if builds_quickly(one.sch)}
            self._queue += [text for text in found if text not in self._pending]
            self._pending |= found
        chosen, self._queue = self._queue[: self._batch], self._queue[self._batch :]
        return chosen

    def _candidate(self, text: str) -> Any:
        sch = Schedule(self._mod, seed=1, error_render_level="none")
        Trace.apply_json_to_schedule(json.loads(text), sch)
        return self._record(sch.trace, None).as_measure_candidate()

    def _record(self, trace: Trace, run_secs: list[float] | None) -> Any:
        arguments = ms.arg_info.ArgInfo.from_entry_func(self._mod)
        return ms.database.TuningRecord(trace, self._workload, run_secs, self._context.target, arguments)


def cost_model(seed: int, config: TuningConfig) -> CostModel:
    """MetaSchedule's ranking of candidates: by XGBoost if that is installed, else random."""
    np.random.seed(seed)  # what XGBModel guesses by until it ranks
    if importlib.util.find_spec("xgboost") is None:
        return RandomModel(seed=seed)
    return XGBModel(
        config=XGBConfig(seed=seed, nthread=1, tree_method="hist"),
        num_warmup_samples=config.warmup,
        early_stopping_rounds=10,
        verbose_eval=0,
    )


def _module_of(func: tvm.tir.PrimFunc) -> tvm.IRModule:
    """The module that `relay_passes.lowering` applies traces to."""
    main = normalized(func).with_attr({"global_symbol": "main", "tir.noalias": tvm.tir.const(True, "bool")})
    return tvm.IRModule({"main": main})


def _text_of(trace: Trace) -> str:
    return json.dumps(trace.as_json(), separators=(",", ":"))
