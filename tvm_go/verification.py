"""The verdict on a plan as a whole, and what each kind of decision adds to it."""

from __future__ import annotations

from typing import Any

from cost_model.oracle import KernelOracle
from cost_model.provenance import versions
from cost_model.served_device import ServedDevice
from cost_model.whole_model import WholeOutcome, compare_whole
from relay_passes.target_set import TargetSet
from tuning_logs import PlanRecord
from tvm_go.ablation import gains
from tvm_go.errors import UnsupportedModelError
from tvm_go.graph import Int32
from tvm_go.lowering import TE
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.search import Problem


def measured_plan(
    problem: Problem, model: Model, kernel: Int32, oracle: KernelOracle, /, **provenance: Any
) -> GraphPlan:
    """A partition as a plan, each kernel in the best lowering that was measured."""
    keys = problem.paid_keys(kernel)
    lowering = [oracle.best_lowering(key) if key and oracle.knows(key) else TE for key in keys]
    return model.plan(kernel, problem.rules.name, lowering, **provenance)


def verified_in_forms(default: Model, problem: Problem, model: Model, name: str, oracle: KernelOracle) -> PlanRecord:
    """The verdict on a model in its forms, fused as by default."""
    plan = measured_plan(problem, model, problem.default, oracle)
    return verified(default, model, plan, name, oracle, ablate=False)


def speedup(record: PlanRecord) -> float:
    """How many times faster than TVM's default build a plan is as a whole; 0 if it fails."""
    return 0.0 if record.verdict in ("wrong", "failed") else record.default_ms / record.plan_ms


def verified(
    default: Model,
    model: Model,
    plan: GraphPlan,
    name: str,
    oracle: KernelOracle,
    *,
    ablate: bool,
    served: ServedDevice | None = None,
) -> PlanRecord:
    """The verdict on a whole plan: from the log if it stands there, else measured and logged.

    Parameters
    ----------
    default : Model
        In TVM's own forms.
    model : Model
        In the forms of the plan.
    ablate : bool
        Whether to measure as well what each kind of decision adds to a faster plan.
    served : ServedDevice, optional
        All devices of a target set; None for the host alone.
    """
    measurer, log = oracle.measurer, oracle.log
    served = served or measurer.served()
    for record in log.plans(plan.workload, plan.target, device_kind=served.kind):
        if record.plan_key == plan.key and ("gains" in record.provenance or not ablate or record.verdict != "faster"):
            return record
    outcome = compare_whole(
        default.build_of(default.plan(default.default, "tvm")),
        model.build_of(plan),
        targets=TargetSet.parse(plan.target),
        connection=measurer.connection,
    )
    if outcome.default_failed:
        raise UnsupportedModelError(f"TVM's default build of the model fails: {outcome.error}")
    checked = outcome.verification
    if ablate and checked is not None and checked.verdict == "faster":
        plan = plan.with_provenance(gains=gains(default, model, plan, oracle, measurer))
    plan = plan.with_provenance(default_workload=default.graph.structural_hash)  # names the model, whatever its forms
    record = _plan_record(plan, outcome, name, served)
    log.append(record)
    return record


def _plan_record(plan: GraphPlan, outcome: WholeOutcome, name: str, served: ServedDevice) -> PlanRecord:
    checked = outcome.verification
    timing = checked.timing if checked else None
    interval = {"ratio": timing.ratio, "ratio_low": timing.ratio_low, "ratio_high": timing.ratio_high} if timing else {}
    return PlanRecord(
        plan_key=plan.key,
        workload=plan.workload,
        model=name,
        target=plan.target,
        device_kind=served.kind,
        host_cpu=served.model,
        versions=versions(),
        default_ms=timing.default_ms if timing else float("inf"),
        plan_ms=timing.plan_ms if timing else float("inf"),
        verdict=checked.verdict if checked else "failed",
        numerics="unchecked" if checked is None else checked.numerics,
        max_error=checked.max_error if checked else float("inf"),
        kernels=plan.num_kernels,
        plan=plan.to_json(),
        provenance={**plan.provenance, **interval, "error": outcome.error},
    )
