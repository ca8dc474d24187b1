"""Records for the tests, and strategies that draw any legal record."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tuning_logs import KernelRecord, PlanRecord
from tuning_logs.records import NUMERICS

TARGET = "llvm -keys=cpu -mcpu=cascadelake"
KEY = "0123456789abcdef0123456789abcdef"
TIR_TUNED = 'tir {"vectors":2,"rows":[4],"unroll":1,"columns_first":true}'
WORKLOAD = "fedcba9876543210fedcba9876543210"

_KERNEL = KernelRecord(
    key=KEY,
    target=TARGET,
    device_kind="cpu",
    host_cpu="Intel(R) Xeon(R) Gold",
    versions={"tvm": "0.19.0", "tvm_go": "0.1.0", "llvm": "22.1.8"},
    median_ms=1.25,
    times_ms=(1.0, 1.25, 1.5),
    numerics="ok",
    max_error=3e-7,
    error_kind=None,
    error_msg="",
    build_s=0.31,
    run_s=0.02,
    ops="conv2d+add+relu",
    workload=WORKLOAD,
    created="2024-05-06T07:08:09+00:00",
)
_PLAN = PlanRecord(
    plan_key="00112233445566778899aabbccddeeff",
    workload=WORKLOAD,
    model="squeezenet",
    target=TARGET,
    device_kind="cpu",
    host_cpu="Intel(R) Xeon(R) Gold",
    versions={"tvm": "0.19.0", "tvm_go": "0.1.0", "llvm": "22.1.8"},
    default_ms=14.4,
    plan_ms=12.8,
    verdict="faster",
    numerics="ok",
    max_error=1e-6,
    kernels=41,
    plan={"kernels": [[0, 1], [2]], "order": [0, 1]},
    provenance={"strategy": "annealing", "seed": 0},
    created="2024-05-06T07:08:09+00:00",
)


def kernel(**changes: Any) -> KernelRecord:
    """Return a kernel record with some fields changed."""
    return replace(_KERNEL, **changes)


def failure(**changes: Any) -> KernelRecord:
    """Return the record of a kernel that ran past its timeout."""
    failed: dict[str, Any] = {"median_ms": float("inf"), "times_ms": (), "numerics": "unchecked"}
    return kernel(**(failed | {"error_kind": "run_timeout", "error_msg": "over 10 s"} | changes))


def plan(**changes: Any) -> PlanRecord:
    """Return a plan record with some fields changed."""
    return replace(_PLAN, **changes)


_amounts = st.floats(0, allow_infinity=False, allow_nan=False)
_amounts_or_infinity = st.floats(0, allow_nan=False)
_names = st.text(min_size=1)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(st.text(), _json, max_size=4)
_common: dict[str, st.SearchStrategy[Any]] = {
    "workload": _names,
    "target": _names,
    "device_kind": _names,
    "host_cpu": st.text(),
    "versions": st.dictionaries(st.text(), st.text(), max_size=3),
    "numerics": st.sampled_from(NUMERICS),
    "max_error": _amounts_or_infinity,
    "created": st.datetimes().map(lambda moment: moment.isoformat()),
}
kernels = st.builds(
    KernelRecord,
    key=st.text("0123456789abcdef", min_size=32, max_size=32),
    median_ms=_amounts_or_infinity,
    times_ms=st.lists(_amounts, max_size=5).map(tuple),
    error_kind=st.none() | _names,
    error_msg=st.text(),
    build_s=_amounts,
    run_s=_amounts,
    ops=st.text(),
    lowering=st.sampled_from(["te", "tir", TIR_TUNED, 'metaschedule {"trace":[]}']),
    **_common,
)
plans = st.builds(
    PlanRecord,
    plan_key=_names,
    model=st.text(),
    default_ms=_amounts_or_infinity,
    plan_ms=_amounts_or_infinity,
    verdict=st.text(),
    kernels=st.integers(0, 10**9),
    plan=_objects,
    provenance=_objects,
    **_common,
)
