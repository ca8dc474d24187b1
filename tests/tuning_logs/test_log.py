"""The tuning log answers from its file: best records per target, whatever the state of the file's lines."""

import json
import logging
import math
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tuning_logs.samples import KEY, TARGET, TIR_TUNED, WORKLOAD, failure, kernel, kernels, plan, plans
from tuning_logs import KernelRecord, NewerVersionError, PlanRecord, Record, TuningLog
from tvm_go.errors import LogError

DATA = Path(__file__).parent / "data"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@settings(max_examples=40)
@given(records=st.lists(kernels | plans, max_size=6))
def test_what_was_appended_is_loaded_in_order(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    log = TuningLog(path)
    for record in records:
        log.append(record)
    assert log.records == TuningLog(path).load() == records
    assert TuningLog(path).problems == []


def test_a_missing_file_is_an_empty_log(path: Path) -> None:
    log = TuningLog(path)
    assert log.load() == [] and log.best_kernel(KEY, TARGET) is None and log.best_plan(WORKLOAD, TARGET) is None
    assert not path.exists()


@pytest.mark.parametrize("version", [1, 2])
def test_a_log_of_each_version_reads_as_it_was_written(version: int) -> None:
    log = TuningLog(DATA / f"v{version}.jsonl")
    assert log.problems == [] and log.torn_lines == 0
    records = log.records
    assert [type(record) for record in records[:4]] == [KernelRecord, KernelRecord, KernelRecord, PlanRecord]
    assert records[:2] == [kernel(), failure()]
    assert isinstance(records[2], KernelRecord) and records[2].numerics == "single_op"
    assert records[3] == plan()
    tir = [kernel(lowering="tir", median_ms=0.75), failure(lowering=TIR_TUNED)] if version > 1 else []
    assert records[4:] == tir
    known = log.kernels(KEY, TARGET)
    assert known == {"te": kernel(), **{record.lowering: record for record in tir}}


# --- queries ---


def test_the_best_kernel_is_the_fastest_success(path: Path) -> None:
    log = TuningLog(path)
    for record in (
        kernel(median_ms=2.0),
        kernel(median_ms=1.5, ops="first"),
        kernel(median_ms=1.5, ops="second"),
        kernel(median_ms=0.1, numerics="wrong"),
        kernel(median_ms=0.1, error_kind="wrong_numbers"),
        failure(),
    ):
        log.append(record)
    for source in (log, TuningLog(path)):
        best = source.best_kernel(KEY, TARGET)
        assert best is not None and (best.median_ms, best.ops) == (1.5, "first")


def test_each_lowering_of_a_kernel_keeps_its_own_best(path: Path) -> None:
    log = TuningLog(path)
    slow, fast, tuned = kernel(median_ms=2.0), kernel(median_ms=1.5), kernel(lowering=TIR_TUNED, median_ms=1.0)
    failed = failure(lowering="tir")
    for record in (slow, tuned, fast, failed):
        log.append(record)
    for source in (log, TuningLog(path)):
        assert source.kernels(KEY, TARGET) == {"te": fast, TIR_TUNED: tuned, "tir": failed}
        assert source.best_kernel(KEY, TARGET) == tuned
        assert source.kernels(KEY, "llvm") == source.kernels(WORKLOAD, TARGET) == {}
    log.append(kernel(device_kind="opencl"))
    with pytest.raises(LogError, match="several kinds of device"):
        log.kernels(KEY, TARGET)
    assert set(log.kernels(KEY, TARGET, device_kind="opencl")) == {"te"}


def test_a_kernel_that_only_failed_gives_its_latest_failure(path: Path) -> None:
    log = TuningLog(path)
    log.append(failure(error_msg="once"))
    log.append(failure(error_msg="twice"))
    best = log.best_kernel(KEY, TARGET)
    assert best is not None and best.error_msg == "twice" and not best.succeeded


def test_the_best_plan_is_the_one_that_gains_most_over_the_default(path: Path) -> None:
    log = TuningLog(path)
    busy = plan(default_ms=20.0, plan_ms=14.0, model="busy machine")
    for record in (plan(default_ms=14.0, plan_ms=13.5), busy, plan(plan_ms=1.0, numerics="wrong")):
        log.append(record)
    log.append(plan(plan_ms=math.inf))
    assert log.best_plan(WORKLOAD, TARGET) == busy
    assert len(log.plans(WORKLOAD, TARGET)) == 4
    assert log.best_plan(KEY, TARGET) is None


@pytest.mark.parametrize(
    "other", ["llvm -keys=cpu -mcpu=znver4", "llvm -keys=cpu", TARGET + " -num-cores=2", TARGET.upper(), "opencl"]
)
def test_a_record_of_another_target_is_never_returned(path: Path, other: str) -> None:
    log = TuningLog(path)
    log.append(kernel(median_ms=0.1, target=other))
    log.append(plan(plan_ms=0.1, target=other))
    assert log.best_kernel(KEY, TARGET) is None
    assert log.best_plan(WORKLOAD, TARGET) is None and log.plans(WORKLOAD, TARGET) == []
    log.append(kernel(median_ms=9.0))
    best = log.best_kernel(KEY, TARGET)
    assert best is not None and best.median_ms == 9.0


def test_kinds_of_device_are_never_mixed(path: Path) -> None:
    log = TuningLog(path)
    for kind, milliseconds in (("cpu", 2.0), ("opencl", 1.0)):
        log.append(kernel(device_kind=kind, median_ms=milliseconds))
        log.append(plan(device_kind=kind, plan_ms=milliseconds))
    best = log.best_kernel(KEY, TARGET, device_kind="cpu")
    assert best is not None and best.median_ms == 2.0
    best_plan = log.best_plan(WORKLOAD, TARGET, device_kind="cpu")
    assert best_plan is not None and best_plan.plan_ms == 2.0
    assert log.best_kernel(KEY, TARGET, device_kind="cuda") is None
    for query in (log.best_kernel, log.best_plan, log.plans):
        with pytest.raises(LogError, match=r"several kinds of device .* cpu, opencl; say which"):
            query(KEY if query == log.best_kernel else WORKLOAD, TARGET)


def test_refresh_takes_in_what_others_appended(path: Path) -> None:
    reader, writer = TuningLog(path), TuningLog(path)
    assert reader.best_kernel(KEY, TARGET) is None
    writer.append(kernel(median_ms=3.0))
    assert reader.best_kernel(KEY, TARGET) is None
    reader.refresh()
    assert len(reader.records) == 1
    writer.append(kernel(median_ms=2.0))
    reader.append(kernel(median_ms=4.0))
    assert [record.median_ms for record in reader.records if isinstance(record, KernelRecord)] == [3.0, 2.0, 4.0]


def test_refresh_starts_again_when_another_file_took_its_place(path: Path, tmp_path: Path) -> None:
    log = TuningLog(path)
    log.append(kernel())
    merged = TuningLog(tmp_path / "merged.jsonl")
    merged.append(plan())
    merged.append(plan())
    merged.path.replace(path)
    log.refresh()
    assert log.records == [plan(), plan()]
    path.write_text(plan().to_json_line() + "\n")
    log.refresh()
    assert log.records == [plan()]
    path.unlink()
    log.refresh()
    assert log.records == []


# --- lines that are no records ---


def test_a_last_line_torn_at_any_byte_costs_only_that_line(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    TuningLog(path).append(kernel())
    whole = path.read_bytes()
    last = plan().to_json_line().encode()
    for cut in range(len(last) + 1):
        path.write_bytes(whole + last[:cut])
        log = TuningLog(path)
        kept = [kernel(), plan()] if cut == len(last) else [kernel()]
        assert log.load() == kept
        assert log.torn_lines == (0 < cut < len(last)) and log.problems == []
    assert not caplog.records


@pytest.mark.parametrize("cut", [1, 2, 100, -2, -1])
def test_appending_after_a_torn_line_closes_it_off(path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    torn = plan().to_json_line()[:cut]
    path.write_text(kernel().to_json_line() + "\n" + torn)
    log = TuningLog(path)
    assert log.torn_lines == 1
    log.append(failure())
    log.append(plan())
    for source in (log, TuningLog(path)):
        assert source.records == [kernel(), failure(), plan()]
        assert source.torn_lines == 0
        assert [problem.split(": ")[0] for problem in source.problems] == [f"{path}:2"]
    assert len(caplog.records) == 2


def test_a_whole_last_line_without_its_newline_is_kept(path: Path) -> None:
    path.write_text(kernel().to_json_line())
    log = TuningLog(path)
    assert log.records == [kernel()]
    log.append(plan())
    path.write_bytes(path.read_bytes() + b"garbage\n")
    log.refresh()
    assert log.records == TuningLog(path).records == [kernel(), plan()]
    assert log.problems == TuningLog(path).problems and log.problems[0].startswith(f"{path}:3: ")


def test_corrupt_lines_in_the_middle_are_skipped_with_one_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [kernel().to_json_line(), "garbage", "", plan().to_json_line(), '{"version": 1}', failure().to_json_line()]
    path.write_text("\n".join(lines) + "\n")
    log = TuningLog(path)
    with caplog.at_level(logging.WARNING):
        assert log.load() == [kernel(), plan(), failure()]
    assert [problem.split(": ")[0] for problem in log.problems] == [f"{path}:2", f"{path}:5"]
    assert [record.getMessage() for record in caplog.records] == [f"{log.problems[0]}; skipped (and 1 more lines)"]


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_log_of_a_newer_version_is_refused_and_left_alone(path: Path, end: str) -> None:
    newer = json.dumps(json.loads(kernel().to_json_line()) | {"version": 7}) + end
    path.write_text(kernel().to_json_line() + "\n" + newer)
    before = path.read_bytes()
    log = TuningLog(path)
    for action in (log.load, log.refresh, log.ensure_writable, lambda: log.append(kernel()), lambda: log.records):
        with pytest.raises(NewerVersionError) as caught:
            action()
        assert str(caught.value).startswith(f"{path}:2: the record has version 7")
        assert "version 2" in str(caught.value) and "upgrade tvm-go" in str(caught.value)
    assert path.read_bytes() == before


def test_a_hundred_thousand_records_load_in_a_few_seconds(path: Path) -> None:
    template = kernel().to_json_line()
    path.write_text("".join(template.replace(KEY, f"{number:032x}") + "\n" for number in range(100_000)))
    start = time.process_time()
    log = TuningLog(path)
    assert len(log.load()) == 100_000
    assert time.process_time() - start < 8  # about 2 s on an idle machine
    best = log.best_kernel(f"{99_999:032x}", TARGET)
    assert best is not None
