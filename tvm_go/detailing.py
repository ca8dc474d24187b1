"""Give a plan what the viewer shows: its graph, and the times of its kernels as the oracle or a log knows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from cost_model.oracle import KernelOracle
from relay_passes.variants import origins
from tuning_logs import TuningLog
from tvm_go.kernels import free_kernels, kernel_keys, members
from tvm_go.lowering import TE, Lowering
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.plan_details import FREE, MEASURED, PREDICTED, SOURCES, UNKNOWN, PlanDetails
from tvm_go.target_text import target_texts

Times = Callable[[str, Lowering, str], "tuple[float, str]"]
"""Milliseconds of a kernel by key, lowering and device, NaN if nobody knows, and where they come from."""


def detailed(plan: GraphPlan, models: tuple[Model, ...], times: Times) -> GraphPlan:
    """The plan with its details, and TVM's default plan with its own among them.

    Parameters
    ----------
    models : tuple of Model
        The model in TVM's own forms, and, where the plan has others, in those of the plan.
    """
    model = next(one for one in models if one.graph.structural_hash == plan.workload)
    own = models[0].plan(models[0].default, "tvm")
    default = None if own.key == plan.key else replace(own, details=_details(own, models[0], times, None))
    return replace(plan, details=_details(plan, model, times, default))


def times_of_oracles(oracles: Mapping[str, KernelOracle]) -> Times:
    """What a tuning run knows, by device; what stood in its log was measured as well."""

    def times(key: str, lowering: Lowering, device: str) -> tuple[float, str]:
        oracle = oracles[device]
        if oracle.is_guess(key):
            return oracle.guesses[key].ms, PREDICTED
        record = oracle.answers.get(key, {}).get(lowering)
        return (record.median_ms, MEASURED) if record is not None and record.succeeded else (np.nan, UNKNOWN)

    return times


def times_of_log(log: TuningLog, target: str) -> Times:
    """What a log knows of kernels on a target, or on those of a target set."""
    texts = target_texts(target)

    def times(key: str, lowering: Lowering, device: str) -> tuple[float, str]:
        record = log.kernels(key, texts[device]).get(lowering.to_text())
        return (record.median_ms, MEASURED) if record is not None and record.succeeded else (np.nan, UNKNOWN)

    return times


def nobody_knows(key: str, lowering: Lowering, device: str) -> tuple[float, str]:
    """Times where there is no log."""
    return np.nan, UNKNOWN


def _details(plan: GraphPlan, model: Model, times: Times, default: GraphPlan | None) -> PlanDetails:
    graph, kernel = model.graph, plan.kernel
    lowering = plan.lowering or (TE,) * plan.num_kernels
    free = free_kernels(graph, kernel)
    starts, ops = members(kernel)
    fixed = graph.fixed[ops[starts[:-1]]]
    device = [plan.devices[place] for place in (plan.device if len(plan.device) else np.zeros(len(fixed), dtype=int))]
    known = [
        (0.0, FREE)
        if free[number]
        else (np.nan, UNKNOWN)
        if fixed[number]
        else times(key, lowering[number], device[number])
        for number, key in enumerate(kernel_keys(graph, kernel))
    ]
    return PlanDetails(
        graph=graph,
        origin=origins(model.flow),
        ms=np.array([ms for ms, _ in known], dtype=np.float64),
        source=np.array([SOURCES.index(source) for _, source in known], dtype=np.int8),
        default=default,
    )
