"""The two kinds of record in a tuning log, one JSON object per line, and their strict validation."""

import datetime
import json
import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tuning_logs import checks
from tuning_logs.checks import Checks
from tvm_go.errors import LogError

VERSION = 2  # 2: kernel records name their lowering; in a record of version 1 it is `te`
BEAT = "beat"  # where a plan's provenance names another plan that was slower, both timed in turns
NUMERICS = ("ok", "sensitive", "wrong", "single_op", "unchecked")


class NewerVersionError(LogError):
    """The log was written by a newer tvm-go; to guess at its meaning could apply a wrong plan.

    Examples
    --------
    >>> try:
    ...     from_json('{"version": 99, "kind": "kernel"}')
    ... except NewerVersionError as error:
    ...     print("upgrade" in str(error))
    True
    """


def utc_now() -> str:
    """Return the current time as ISO 8601 text in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """One measurement of one kernel on one target, or the reason why there is none.

    Parameters
    ----------
    key
        Structural hash of the kernel, 32 hexadecimal digits.
    target
        Canonical text of the TVM target, with `-mcpu` and whatever else changes the code.
    device_kind
        Kind of device that ran it: `cpu`, `emulated cpu`, or another with its model, such as `opencl: Mali-G52 (...)`.
    host_cpu
        Model of the CPU that ran it, or of the device and its driver.
    versions
        Versions of the software that made the number: `tvm`, `tvm_go`, `llvm`, ...
    median_ms
        Median time in milliseconds; infinity for a failure (NaN becomes infinity), `null` in the JSON.
    times_ms
        The single times, in milliseconds; empty for a failure.
    numerics
        Verdict on the numbers against the unfused ops, one of `NUMERICS`; `sensitive`: off by more than the tolerance,
        but rounding errors in the ops do as much; `single_op` is a kernel that is one op.
    max_error
        Largest deviation that was seen; infinity (NaN too) where it is unbounded or unknown, `null` in the JSON.
    error_kind
        Class of the failure, `None` if the kernel built, ran and gave right numbers.
    error_msg
        What the failure said; empty for a success.
    build_s, run_s
        Seconds that building and running cost the tuning run.
    ops
        Readable summary, such as `conv2d+add+relu`.
    lowering
        How the kernel got its schedule, as `tvm_go.lowering.Lowering.to_text` writes it.
    workload
        Hash of the model graph for which the kernel was first measured.
    model
        Name of that model, for people; empty if it has none, or the record is of an older tvm-go.
    structure
        The kernel as a JSON object, from which features can be made (`cost_model.structure`); None as above.
    created
        ISO 8601 time.

    Raises
    ------
    LogError
        If a field has another type than stated here, or a value outside its range.

    Examples
    --------
    >>> record = TuningLog("log.jsonl").kernel_records[0]
    >>> record.succeeded, record.error_kind is None, record.median_ms > 0
    (True, True, True)
    """

    key: str
    target: str
    device_kind: str
    host_cpu: str
    versions: dict[str, str]
    median_ms: float
    times_ms: tuple[float, ...]
    numerics: str
    max_error: float
    error_kind: str | None
    error_msg: str
    build_s: float
    run_s: float
    ops: str
    workload: str
    lowering: str = "te"
    model: str = ""
    structure: dict[str, Any] | None = None
    created: str = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        checks.validate(self, "kernel", _KERNEL)

    @property
    def succeeded(self) -> bool:
        """Whether the kernel may be used: it has a time, no failure, and no wrong numbers."""
        return self.error_kind is None and self.median_ms < math.inf and self.numerics != "wrong"

    def to_json_line(self) -> str:
        """Return the record as one line of JSON, without the newline."""
        return _to_json_line(self, "kernel", _KERNEL)


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """One whole-model measurement of a plan against TVM's default build.

    Parameters
    ----------
    plan_key
        Hash of the model graph together with the partition.
    workload
        Hash of the model graph.
    model
        Name of the model, for people.
    target, device_kind, host_cpu, versions
        As in `KernelRecord`.
    default_ms, plan_ms
        Milliseconds of TVM's default build and of the plan, timed interleaved; infinity if it did not run.
    verdict
        Outcome of the comparison of the times.
    numerics, max_error
        As in `KernelRecord`, for the outputs of the whole model.
    kernels
        Number of kernels of the plan.
    plan
        The plan as a JSON object; opaque here.
    provenance
        How the plan came about (strategy, seed, budget, ...) as a JSON object; opaque here.
    created
        ISO 8601 time.

    Raises
    ------
    LogError
        If a field has another type than stated here, or a value outside its range.

    Examples
    --------
    >>> record = TuningLog("log.jsonl").to_pandas("plan").iloc[-1]
    >>> record.verdict in ("faster", "same", "slower")
    True
    """

    plan_key: str
    workload: str
    model: str
    target: str
    device_kind: str
    host_cpu: str
    versions: dict[str, str]
    default_ms: float
    plan_ms: float
    verdict: str
    numerics: str
    max_error: float
    kernels: int
    plan: dict[str, Any]
    provenance: dict[str, Any]
    created: str = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        checks.validate(self, "plan", _PLAN)

    @property
    def succeeded(self) -> bool:
        """Whether the plan may be used: it has a time and no wrong numbers."""
        return self.plan_ms < math.inf and self.numerics != "wrong"

    def to_json_line(self) -> str:
        """Return the record as one line of JSON, without the newline."""
        return _to_json_line(self, "plan", _PLAN)


Record: TypeAlias = KernelRecord | PlanRecord


def from_json(line: str | bytes) -> Record:
    """Parse one line of a tuning log.

    Fields that this version does not know are ignored: a later tvm-go may add some without a new version.

    Parameters
    ----------
    line
        One JSON object; UTF-8 if bytes.

    Returns
    -------
    KernelRecord or PlanRecord

    Raises
    ------
    NewerVersionError
        If the record's version is above `VERSION`.
    LogError
        If the line is no record: not JSON, a field missing or of another type, an unknown kind.

    Examples
    --------
    >>> record = TuningLog("log.jsonl").records[0]
    >>> from_json(record.to_json_line()) == record
    True
    """
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line
        content = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise LogError(f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise LogError(f"not a JSON object but {checks.shown(content)}")
    version = content.get("version")
    if type(version) is not int or version < 1:
        raise LogError(f"field 'version' must be a positive integer, got {checks.shown(version)}")
    if version > VERSION:
        raise NewerVersionError(
            f"the record has version {version}, this tvm-go reads up to version {VERSION}: upgrade tvm-go"
        )
    match content.get("kind"):
        case "kernel":
            older = {"lowering": "te"} if version == 1 else {}
            return KernelRecord(**_fields({"model": "", "structure": None, **content, **older}, "kernel", _KERNEL))
        case "plan":
            return PlanRecord(**_fields(content, "plan", _PLAN))
        case kind:
            raise LogError(f"field 'kind' must be 'kernel' or 'plan', got {checks.shown(kind)}")


def _fields(content: dict[str, Any], kind: str, names: Checks) -> dict[str, Any]:
    """Pick a record's fields out of its JSON object and undo what JSON cannot say (tuples, infinity)."""
    try:
        fields = {name: content[name] for name in names}
    except KeyError as missing:
        raise LogError(f"{kind} record: field {missing} is missing") from None
    for name in _INFINITE_AS_NULL:
        if name in fields and fields[name] is None:
            fields[name] = math.inf
    if isinstance(fields.get("times_ms"), list):
        fields["times_ms"] = tuple(fields["times_ms"])
    return fields


def _to_json_line(record: Record, kind: str, names: Checks) -> str:
    content: dict[str, Any] = {"version": VERSION, "kind": kind}
    content.update((name, getattr(record, name)) for name in names)
    for name in _INFINITE_AS_NULL:
        if content.get(name) == math.inf:
            content[name] = None
    try:
        return json.dumps(content, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise LogError(f"{kind} record: cannot be written as JSON: {error}") from None


def _refuse_constant(token: str) -> None:
    raise ValueError(f"{token} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_INFINITE_AS_NULL = ("median_ms", "max_error", "default_ms", "plan_ms")

_COMMON: Checks = {
    "target": checks.name,
    "device_kind": checks.name,
    "host_cpu": checks.text,
    "versions": checks.texts_by_name,
    "numerics": checks.one_of(NUMERICS),
    "max_error": checks.amount_or_infinity,
    "workload": checks.name,
    "created": checks.time,
}
_KERNEL: Checks = {
    "key": checks.structural_hash,
    **_COMMON,
    "median_ms": checks.amount_or_infinity,
    "times_ms": checks.amounts,
    "error_kind": checks.optional_name,
    "error_msg": checks.text,
    "build_s": checks.amount,
    "run_s": checks.amount,
    "ops": checks.text,
    "lowering": checks.lowering,
    "model": checks.text,
    "structure": checks.optional_json_object,
}
_PLAN: Checks = {
    "plan_key": checks.name,
    **_COMMON,
    "model": checks.text,
    "default_ms": checks.amount_or_infinity,
    "plan_ms": checks.amount_or_infinity,
    "verdict": checks.text,
    "kernels": checks.count,
    "plan": checks.json_object,
    "provenance": checks.json_object,
}
