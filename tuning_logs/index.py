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
        self._best_kernels: dict[tuple[str, str, str], KernelRecord] = {}
        self._plans: dict[tuple[str, str], list[PlanRecord]] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        self.records.append(record)
        if isinstance(record, PlanRecord):
            self._plans.setdefault((record.workload, record.target), []).append(record)
            return
        self._device_kinds.add(record.device_kind)
        place = (record.key, record.target, record.device_kind)
        best = self._best_kernels.get(place)
        if best is None or _is_better(record, best):
            self._best_kernels[place] = record

    def best_kernel(self, key: str, target: str, device_kind: str | None) -> KernelRecord | None:
        """Return the fastest success, else the latest failure; see `TuningLog.best_kernel`."""
        if device_kind is None:
            kinds = [kind for kind in self._device_kinds if (key, target, kind) in self._best_kernels]
            if not kinds:
                return None
            _require_one_kind(kinds, f"kernel {key}", target)
            device_kind = kinds[0]
        return self._best_kernels.get((key, target, device_kind))

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
