"""Records as pandas tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tuning_logs.records import KernelRecord, PlanRecord, Record
from tvm_go.errors import UsageError
from tvm_go.pandas import pandas

if TYPE_CHECKING:
    from pandas import DataFrame

_TYPES: dict[str, tuple[type[Record], str]] = {"kernel": (KernelRecord, "structure"), "plan": (PlanRecord, "plan")}


def table(records: Iterable[Record], kind: str) -> DataFrame:
    """The records of one kind; see :meth:`tuning_logs.TuningLog.to_pandas`."""
    if kind not in _TYPES:
        raise UsageError(f"there are no records of kind '{kind}'; there are {', '.join(_TYPES)}")
    wanted, no_cell = _TYPES[kind]
    names = [field.name for field in fields(wanted) if field.name != no_cell]
    extra = ["succeeded", *(["speedup"] if wanted is PlanRecord else [])]
    rows = [[*(getattr(one, name) for name in names), *_derived(one)] for one in records if isinstance(one, wanted)]
    frame = pandas().DataFrame(rows, columns=[*names, *extra])
    frame["created"] = pandas().to_datetime(frame["created"], format="ISO8601", utc=True)
    return frame


def _derived(record: Record) -> list[Any]:
    if isinstance(record, KernelRecord):
        return [record.succeeded]
    timed = record.succeeded and record.plan_ms > 0
    return [record.succeeded, record.default_ms / record.plan_ms if timed else float("nan")]
