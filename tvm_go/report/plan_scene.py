"""The scene of a plan: its kernels and copies one after another, beside another plan or TVM's default."""

from __future__ import annotations

from typing import Any

import numpy as np

from tvm_go.errors import PlanError
from tvm_go.graph import Int32, OpGraph, vocabulary
from tvm_go.kernels import kernel_keys, members
from tvm_go.lowering import TE
from tvm_go.plan import GraphPlan
from tvm_go.plan_details import SOURCES, PlanDetails
from tvm_go.report import blocks
from tvm_go.report.changes import KINDS, Comparison, changes, links
from tvm_go.report.graph_structure import DEFAULT_FORM, structure_of, value_places
from tvm_go.report.scene import Run, Scene, Structure
from tvm_go.report.steps import TimedSteps, copy_ms_of, live_bytes_of, steps_of, timed_steps
from tvm_go.report.words import amount, labels, milliseconds, short

DEFAULT_TITLE = "TVM's default"
_DETAIL_LENGTH = 240  # characters of a lowering that are shown; a tuned record's trace is longer than a page


def plan_scene(plan: GraphPlan, against: GraphPlan | None = None) -> Scene:
    """What the page shows of a plan.

    Parameters
    ----------
    against : GraphPlan, optional
        What to compare with; without it TVM's default plan, where the details hold one.

    Raises
    ------
    PlanError
        If a plan has no details, or the two are not for the same model and target.
    """
    details = _details(plan, "the plan")
    other = details.default if against is None else against
    if against is not None:
        _check_same_model(plan, against)
    structure = structure_of(details.graph, plan.kernel, _forms(plan, details))
    timed = _timed(plan, details)
    source, reader = kernel_edges(structure)
    return Scene(
        title=str(plan.provenance.get("model") or "a plan"),
        facts=tuple(_facts(plan, timed, other)),
        structure=structure,
        run=_run(plan, timed),
        levels=blocks.levels(plan.num_kernels, source, reader, structure.op_name[structure.anchor]),
        comparison=None if other is None else _comparison(plan, other, DEFAULT_TITLE if against is None else None),
    )


def kernel_edges(structure: Structure) -> tuple[Any, Any]:
    """Kernels that make and read a tensor, for each use that crosses from one to another: int32 [E] twice."""
    kernel = np.repeat(np.arange(structure.num_kernels, dtype=np.int32), np.diff(structure.op_start))
    reader = np.repeat(kernel, np.diff(structure.use_start))
    made = structure.value_op[structure.use_value]
    inner = made >= 0
    source, reader = kernel[made[inner]], reader[inner]
    crossing = source != reader
    return source[crossing], reader[crossing]


def _details(plan: GraphPlan, what: str) -> PlanDetails:
    if plan.details is None:
        raise PlanError(
            f"{what} does not say what its graph is (tvm-go before plans carried details wrote it): "
            "give the model file with --model, or write the plan again with `tvm-go tune-graph`"
        )
    return plan.details


def _check_same_model(plan: GraphPlan, other: GraphPlan) -> None:
    details = [_details(plan, "the plan"), _details(other, "the plan to compare with")]
    own = [
        one.default.workload if one.default else each.workload for one, each in zip(details, (plan, other), strict=True)
    ]
    if plan.target != other.target:
        raise PlanError(f"the plans are for two targets, '{plan.target}' and '{other.target}': compare plans for one")
    if own[0] != own[1]:
        raise PlanError(
            f"the plans are for two models, {own[0][:12]} and {own[1][:12]}: compare plans of the same model"
        )


def _forms(plan: GraphPlan, details: PlanDetails) -> list[str]:
    return [plan.variants.get(op, DEFAULT_FORM) for op in details.origin.tolist()]


def _device(plan: GraphPlan) -> Int32:
    return plan.device if len(plan.device) else np.zeros(plan.num_kernels, dtype=np.int32)


def _run(plan: GraphPlan, timed: TimedSteps) -> Run:
    details, device, devices = _details(plan, "the plan"), _device(plan), plan.devices
    texts = [one.to_text()[:_DETAIL_LENGTH] for one in plan.lowering] or [TE.kind] * plan.num_kernels
    lowerings, lowering = vocabulary(texts)
    steps, moved = timed.steps, timed.steps.copies
    return Run(
        devices=devices if len(devices) > 1 else (plan.target.partition(" ")[0],),
        lowerings=lowerings,
        sources=SOURCES,
        device=device,
        lowering=lowering,
        source=details.source.astype(np.int32),
        ms=details.ms,
        start_ms=timed.start_ms[steps.of_kernel],
        end_ms=timed.end_ms[steps.of_kernel],
        copy_value=value_places(details.graph, plan.kernel)[moved.value],
        copy_device=moved.destination,
        copy_bytes=moved.num_bytes.astype(np.float64),
        copy_ms=timed.copy_ms,
        copy_start_ms=timed.start_ms[steps.of_copy],
        copy_end_ms=timed.end_ms[steps.of_copy],
        memory_device=np.repeat(np.arange(len(devices), dtype=np.int32), steps.count),
        memory_ms=np.tile(timed.start_ms, len(devices)),
        memory_bytes=live_bytes_of(details.graph, plan.kernel, device, steps, len(devices)).reshape(-1),
        capacity_bytes=np.full(len(devices), np.inf),
        measured=timed.measured,
    )


def _timed(plan: GraphPlan, details: PlanDetails) -> TimedSteps:
    steps = steps_of(details.graph, plan.kernel, _device(plan))
    return timed_steps(steps, details.ms, copy_ms_of(plan.provenance, steps.copies.count))


def _facts(plan: GraphPlan, timed: TimedSteps, other: GraphPlan | None) -> list[tuple[str, str]]:
    said, details = plan.provenance, _details(plan, "the plan")
    facts = [("target", plan.target)]
    default_ms, plan_ms = said.get("default_ms"), said.get("plan_ms")
    if default_ms and plan_ms:
        whole = f"{milliseconds(default_ms)} → {milliseconds(plan_ms)} ms ({default_ms / plan_ms:.3f}×)"
        facts.append(("whole model, default → plan", whole))
    if "verdict" in said:
        facts.append(("verdict", str(said["verdict"])))
    if np.isfinite(details.ms).any():
        unknown = int(np.isnan(details.ms).sum())
        more = f" and {unknown} not known" if unknown else ""
        facts.append(("sum of kernels", f"{milliseconds(float(np.nansum(details.ms)))} ms{more}"))
    if len(plan.devices) > 1:
        facts.append(("copies", _copied(details.graph, timed)))
    count = str(plan.num_kernels)
    facts.append(("kernels", count if other is None else f"{count} (before: {other.num_kernels})"))
    facts.append(("ops", f"{len(plan.kernel):,}"))
    facts += [(name, str(said[name])) for name in ("strategy", "budget", "seed") if name in said]
    facts.append(("rules", plan.rules))
    facts += [("CPU", str(said["host_cpu"]))] if said.get("host_cpu") else []
    return facts


def _copied(graph: OpGraph, timed: TimedSteps) -> str:
    moved = timed.steps.copies
    inputs = int((graph.value_op[moved.value] < 0).sum())
    parts = [f"{moved.count:,}" + (f" ({inputs:,} of inputs)" if inputs else "")]
    if moved.count:
        parts.append(amount(float(moved.num_bytes.sum()), "B"))
        known = bool(np.isfinite(timed.copy_ms).all())
        parts.append(f"{milliseconds(float(timed.copy_ms.sum()))} ms predicted" if known else "time not known")
    return ", ".join(parts)


def _comparison(plan: GraphPlan, other: GraphPlan, title: str | None) -> Comparison:
    details, other_details = _details(plan, "the plan"), _details(other, "the plan to compare with")
    counts = (plan.num_kernels, other.num_kernels)
    if plan.workload == other.workload:
        same = np.arange(len(plan.kernel), dtype=np.int32)
        pairs = links(same, plan.kernel, same, other.kernel)
    else:
        pairs = links(details.origin, plan.kernel, other_details.origin, other.kernel)
    mine, theirs = pairs
    lowering, other_lowering = (
        np.array([one.to_text() for one in each.lowering] or [TE.to_text()] * each.num_kernels)
        for each in (plan, other)
    )
    keys, other_keys = (
        np.array(kernel_keys(each.graph, kernel))
        for each, kernel in ((details, plan.kernel), (other_details, other.kernel))
    )
    device = _device(plan)
    other_device = _on_devices(plan.devices, other)
    reasons = (
        ("moved", device[mine] != other_device[theirs]),
        ("form", keys[mine] != other_keys[theirs]),
        ("lowering", lowering[mine] != other_lowering[theirs]),
    )
    change, group, other_group = changes(pairs, counts, reasons)
    timed = _timed(other, other_details)
    starts, order = members(other.kernel)
    names = [short(name) for name in other_details.graph.op_names]
    words = [names[number] for number in other_details.graph.op_name[order].tolist()]
    other_label = labels(words, starts.tolist())
    return Comparison(
        other_title=title or str(other.provenance.get("strategy", "the other plan")),
        kinds=KINDS,
        change=change,
        group=group,
        other_group=other_group,
        other_label=tuple(
            label if number >= 0 else "" for label, number in zip(other_label, other_group.tolist(), strict=True)
        ),
        other_device=other_device,
        other_ms=other_details.ms,
        other_start_ms=timed.start_ms[timed.steps.of_kernel] if timed.measured else np.full(other.num_kernels, np.nan),
    )


def _on_devices(names: tuple[str, ...], plan: GraphPlan) -> Int32:
    """Device of each kernel of a plan, as an index into the names of another one's: int32 [K]; -1 if it is none."""
    number = [names.index(name) if name in names else -1 for name in plan.devices]
    return np.array(number, dtype=np.int32)[_device(plan)]
