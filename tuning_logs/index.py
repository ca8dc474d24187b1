"""Records in memory, in the order of the log, with an index by what they were measured for."""

import math
from collections.abc import Collection

from tuning_logs.records import KernelRecord, PlanRecord, Record
from tvm_go.errors import LogError


class RecordIndex:
    """Queries over records; they compare the target's canonical text and never mix kinds of device."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._device_kinds: set[str] = set()
        self._kernels: dict[tuple[str, str, str], dict[str, KernelRecord]] = {}  # then by lowering
        self._plans: dict[tuple[str, str], list[PlanRecord]] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        self.records.append(record)
        if isinstance(record, PlanRecord):
            self._plans.setdefault((record.workload, record.target), []).append(record)
            return
        self._device_kinds.add(record.device_kind)
        by_lowering = self._kernels.setdefault((record.key, record.target, record.device_kind), {})
        best = by_lowering.get(record.lowering)
        if best is None or _is_better(record, best):
            by_lowering[record.lowering] = record

    def kernels(self, key: str, target: str, device_kind: str | None) -> dict[str, KernelRecord]:
        """Return the best record of each lowering; see `TuningLog.kernels`."""
        if device_kind is None:
            kinds = [kind for kind in self._device_kinds if (key, target, kind) in self._kernels]
            if not kinds:
                return {}
            _require_one_kind(kinds, f"kernel {key}", target)
            device_kind = kinds[0]
        return dict(self._kernels.get((key, target, device_kind), {}))

    def best_kernel(self, key: str, target: str, device_kind: str | None) -> KernelRecord | None:
        """Return the fastest success, else the latest failure; see `TuningLog.best_kernel`."""
        best: KernelRecord | None = None
        for record in self.kernels(key, target, device_kind).values():
            if best is None or _is_better(record, best):
                best = record
        return best

    def plans(self, workload: str, target: str, device_kind: str | None) -> list[PlanRecord]:
        """Return all plans in the order of the log; see `TuningLog.plans`."""
        plans = self._plans.get((workload, target), [])
        if device_kind is None:
            _require_one_kind({plan.device_kind for plan in plans}, f"workload {workload}", target)
        return [plan for plan in plans if device_kind in (None, plan.device_kind)]

    def best_plan(self, workload: str, target: str, device_kind: str | None) -> PlanRecord | None:
        """Return the plan with the smallest ratio to the default; see `TuningLog.best_plan`."""
        ran = [plan for plan in self.plans(workload, target, device_kind) if plan.succeeded]
        return min(ran, key=_rank, default=None)


def _is_better(record: KernelRecord, best: KernelRecord) -> bool:
    if record.succeeded and best.succeeded:
        return record.median_ms < best.median_ms
    return record.succeeded or not best.succeeded


def _rank(plan: PlanRecord) -> tuple[float, float]:
    comparable = 0 < plan.default_ms < math.inf
    return (plan.plan_ms / plan.default_ms if comparable else math.inf, plan.plan_ms)


def _require_one_kind(kinds: Collection[str], subject: str, target: str) -> None:
    if len(kinds) > 1:
        raise LogError(
            f"{subject} has records of several kinds of device for target '{target}': {', '.join(sorted(kinds))}; "
            "say which with device_kind"
        )
