"""The append-only log of what was measured: record format, storage and queries. Knows nothing of TVM."""

from tuning_logs.log import TuningLog
from tuning_logs.records import VERSION, KernelRecord, NewerVersionError, PlanRecord, Record, from_json

__all__ = [
    "VERSION",
    "KernelRecord",
    "NewerVersionError",
    "PlanRecord",
    "Record",
    "TuningLog",
    "from_json",
]
