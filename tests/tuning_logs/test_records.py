"""Records survive the way to JSON and back; what is no record is refused with one clear error."""

import json
import math
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tuning_logs.samples import failure, kernel, kernels, plan, plans
from tuning_logs import VERSION, KernelRecord, NewerVersionError, Record, from_json
from tvm_go.errors import LogError


def refuse(token: str) -> None:
    raise AssertionError(f"{token} in the JSON")


def altered(record: Record, **changes: Any) -> str:
    return json.dumps(json.loads(record.to_json_line()) | changes)


@given(kernels | plans)
def test_a_record_survives_the_way_to_json_and_back(record: Record) -> None:
    line = record.to_json_line()
    assert from_json(line) == record
    assert from_json(line.encode()) == record
    assert "\n" not in line and "\r" not in line
    content = json.loads(line, parse_constant=refuse)
    assert content["version"] == VERSION
    assert content["kind"] in ("kernel", "plan")


@given(kernels | plans, st.dictionaries(st.text().map(lambda name: f"x_{name}"), st.integers(), min_size=1))
def test_unknown_fields_of_the_same_version_are_ignored(record: Record, extra: dict[str, int]) -> None:
    assert from_json(altered(record, **extra)) == record


def test_what_has_no_finite_value_is_null() -> None:
    record = failure(median_ms=math.nan, max_error=math.nan)
    content = json.loads(record.to_json_line())
    assert content["median_ms"] is None and content["max_error"] is None
    assert record.median_ms == record.max_error == math.inf
    content = json.loads(plan(plan_ms=math.inf, default_ms=math.inf).to_json_line())
    assert content["plan_ms"] is None and content["default_ms"] is None


def test_a_new_record_is_stamped_with_the_time() -> None:
    content = {field.name: getattr(kernel(), field.name) for field in fields(kernel())}
    del content["created"]
    assert type(kernel())(**content).created.endswith("+00:00")


@pytest.mark.parametrize("sample", [kernel(), plan()])
def test_every_field_is_required_and_its_type_checked(sample: Record) -> None:
    for field in fields(sample):
        content = json.loads(sample.to_json_line())
        with pytest.raises(LogError, match=f"field '{field.name}' must be .*, got bool True"):
            from_json(json.dumps(content | {field.name: True}))
        del content[field.name]
        if isinstance(sample, KernelRecord) and field.name in ("model", "structure"):  # logs before they came are read
            assert not getattr(from_json(json.dumps(content)), field.name)
            continue
        with pytest.raises(LogError, match=f"field '{field.name}' is missing"):
            from_json(json.dumps(content))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "0123"),
        ("key", "0123456789ABCDEF0123456789abcdef"),
        ("target", ""),
        ("median_ms", -1.0),
        ("median_ms", 10**400),
        ("times_ms", [1.0, None]),
        ("times_ms", [1.0, "2"]),
        ("build_s", None),
        ("versions", {"tvm": 19}),
        ("numerics", "fine"),
        ("error_kind", ""),
        ("created", "yesterday"),
        ("lowering", ""),
        ("lowering", "magic"),
        ("lowering", "tir {"),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(LogError, match=f"kernel record: field '{field}' must be .*, got"):
        from_json(altered(kernel(), **{field: value}))


def test_a_wrong_record_cannot_be_made_in_python_either() -> None:
    with pytest.raises(LogError, match="field 'times_ms' must be a list of numbers, got list"):
        kernel(times_ms=[1.0])
    with pytest.raises(LogError, match=r"field 'times_ms' must be .* got tuple"):
        kernel(times_ms=(math.nan,))
    with pytest.raises(LogError, match=r"field 'kernels' must be a whole number, at least 0, got float 1\.5"):
        plan(kernels=1.5)
    with pytest.raises(LogError, match="cannot be written as JSON"):
        plan(plan={"order": {1, 2}}).to_json_line()
    with pytest.raises(LogError, match="cannot be written as JSON"):
        plan(provenance={"temperature": math.nan}).to_json_line()


def test_numbers_become_floats() -> None:
    record = kernel(median_ms=2, times_ms=(1, 2, 3), max_error=0)
    assert [type(value) for value in (record.median_ms, *record.times_ms, record.max_error)] == [float] * 5


@pytest.mark.parametrize(
    "line",
    [
        "",
        "garbage",
        "[1, 2]",
        "null",
        b"\xff\xfe",
        "[" * 100_000,
        kernel().to_json_line().replace("1.25", "NaN", 1),
        kernel().to_json_line().replace("1.25", "Infinity", 1),
        altered(kernel(), kind="schedule"),
        altered(kernel(), version=None),
        altered(kernel(), version=0),
        altered(kernel(), version=True),
        altered(kernel(), version="1"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(line: str | bytes) -> None:
    with pytest.raises(LogError) as caught:
        from_json(line)
    assert not isinstance(caught.value, NewerVersionError)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_newer_version_is_refused_whatever_it_holds() -> None:
    with pytest.raises(NewerVersionError, match=r"version 3, .* up to version 2: upgrade tvm-go"):
        from_json('{"version": 3, "content": "of a kind that nobody knows yet"}')


def test_a_kernel_of_version_1_was_lowered_by_te() -> None:
    content = json.loads(kernel().to_json_line())
    del content["lowering"]
    assert from_json(json.dumps(content | {"version": 1})) == kernel()
    # an older tvm-go ignored what it did not know
    assert from_json(json.dumps(content | {"version": 1, "lowering": "magic"})) == kernel()


def test_success_means_a_time_and_no_failure() -> None:
    assert kernel().succeeded and kernel(numerics="single_op").succeeded
    assert not failure().succeeded
    assert not kernel(numerics="wrong").succeeded
    assert not kernel(error_kind="wrong_numbers").succeeded
    assert plan().succeeded
    assert not plan(plan_ms=math.inf).succeeded and not plan(numerics="wrong").succeeded
