"""What stands in logs: how much of what, for which target, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tuning_logs.records import KernelRecord, PlanRecord, Record


@dataclass
class TargetSummary:
    """All that logs hold for one target and kind of device.

    Attributes
    ----------
    kernels, measurements : int
        Distinct kernels, and measurements of them by some lowering.
    usable : int
        Kernels with at least one success.
    described : int
        Kernels whose structure is kept, so that a cost model can learn from them.
    lowerings, failures, models : dict
        Measurements by lowering; failures by kind; kernels by model.
    plans : int
    best : dict
        The largest speed-up of a verified plan over TVM's default, by model.
    """

    target: str
    device_kind: str
    host_cpus: list[str] = field(default_factory=list)
    kernels: int = 0
    measurements: int = 0
    usable: int = 0
    described: int = 0
    lowerings: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    plans: int = 0
    best: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)


def summary(records: Iterable[Record]) -> list[TargetSummary]:
    """One summary for each target and kind of device, in the order of their first records."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.target, record.device_kind), []).append(record)
    return [_summary(target, kind, group) for (target, kind), group in groups.items()]


def _summary(target: str, device_kind: str, records: list[Record]) -> TargetSummary:
    kernels = [record for record in records if isinstance(record, KernelRecord)]
    plans = [record for record in records if isinstance(record, PlanRecord)]
    best: dict[str, float] = {}
    for plan in plans:
        if plan.succeeded and plan.plan_ms > 0:
            best[plan.model] = max(best.get(plan.model, 0.0), plan.default_ms / plan.plan_ms)
    model_of = {record.key: record.model for record in reversed(kernels)}
    return TargetSummary(
        target,
        device_kind,
        host_cpus=sorted({record.host_cpu for record in records}),
        kernels=len(model_of),
        measurements=len(kernels),
        usable=len({record.key for record in kernels if record.succeeded}),
        described=len({record.key for record in kernels if record.structure is not None}),
        lowerings=_counts(record.lowering.split()[0] for record in kernels),
        failures=_counts(str(record.error_kind) for record in kernels if record.error_kind),
        models=_counts(name for name in model_of.values() if name),
        plans=len(plans),
        best=best,
    )


def _counts(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())
