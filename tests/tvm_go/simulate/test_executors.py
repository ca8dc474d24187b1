"""Executors against slow and plain ones, and what must hold of any execution."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.simulate.placed import Placed, placed
from tests.tvm_go.simulate.slow_executors import Run, slow_concurrent, slow_pipeline, slow_sequential
from tvm_go.errors import PlanError, UsageError
from tvm_go.simulate import EXECUTORS, Device, Execution, Machine, Workload, evaluate, execute
from tvm_go.simulate.workload import Floats

many = settings(max_examples=300, deadline=None)
some = settings(max_examples=100, deadline=None)


def run(one: Placed, executor: str) -> Execution:
    return execute(one.workload, one.machine, executor, one.device, one.priority)


def makespan(one: Placed, executor: str) -> float:
    return float(evaluate(one.workload, one.machine, executor, one.device[None], one.priority[None])[0])


def require_equal(execution: Execution, slow_ms: float, slow: Run) -> None:
    moved = execution.transfers
    keys = [
        *enumerate(slow.device),
        *zip(moved.producer.tolist(), moved.target.tolist(), strict=True),
    ]
    start = np.concatenate([execution.start_ms, moved.start_ms])
    finish = np.concatenate([execution.finish_ms, moved.finish_ms])
    assert dict(zip(keys, start.tolist(), strict=True)) == slow.start_ms
    assert dict(zip(keys, finish.tolist(), strict=True)) == slow.finish_ms
    assert execution.peak_bytes.tolist() == slow.peak_bytes
    assert execution.makespan_ms == slow_ms


@given(placed())
@many
def test_concurrent_equals_brute_force(one: Placed) -> None:
    slow_ms, slow = slow_concurrent(one.workload, one.machine, one.device, one.priority)
    require_equal(run(one, "concurrent"), slow_ms, slow)


@given(placed())
@some
def test_sequential_equals_brute_force(one: Placed) -> None:
    slow_ms, slow = slow_sequential(one.workload, one.machine, one.device, one.priority)
    require_equal(run(one, "sequential"), slow_ms, slow)


@given(placed())
@some
def test_pipeline_equals_brute_force(one: Placed) -> None:
    period, peaks = slow_pipeline(one.workload, one.machine, one.device)
    execution = run(one, "pipeline")
    assert execution.makespan_ms == period
    assert execution.peak_bytes.tolist() == peaks


@given(placed(), st.sampled_from(EXECUTORS))
@some
def test_evaluate_is_the_makespan_or_inf_where_memory_does_not_suffice(one: Placed, executor: str) -> None:
    execution = run(one, executor)
    assert makespan(one, executor) == execution.makespan_ms
    assert execution.out_of_memory == {}
    devices = tuple(replace(device, memory_bytes=4.0) for device in one.machine.devices)
    small = replace(one, machine=replace(one.machine, devices=devices))
    expected = {d: float(peak - 4) for d, peak in enumerate(execution.peak_bytes) if peak > 4}
    assert run(small, executor).out_of_memory == expected
    assert np.isinf(makespan(small, executor)) == bool(expected)


@given(placed(), st.sampled_from(EXECUTORS))
@some
def test_memory_curve_starts_with_what_is_resident_peaks_at_the_peak_and_ends_with_what_nobody_reads(
    one: Placed, executor: str
) -> None:
    execution = run(one, executor)
    for d in range(one.machine.num_devices):
        ms, used = execution.memory_curve(d)
        here = one.device == d
        resident = one.workload.resident_bytes[here].sum()
        assert used[0] == resident
        assert used.max() == execution.peak_bytes[d]
        assert (np.diff(ms) >= 0).all()
        if executor != "pipeline":
            unread = here & ~np.isin(np.arange(one.workload.num_ops), one.workload.edge_src)
            assert used[-1] == resident + one.workload.output_bytes[unread].sum()


@given(placed(), st.sampled_from(EXECUTORS))
@some
def test_peak_memory_is_at_least_the_working_set_of_each_op(one: Placed, executor: str) -> None:
    peak = run(one, executor).peak_bytes
    workload = one.workload
    needed = workload.resident_bytes + workload.output_bytes
    np.add.at(needed, workload.edge_dst, workload.output_bytes[workload.edge_src])
    assert (peak[one.device] >= needed).all()


def longest_path(workload: Workload, op_ms: Floats) -> float:
    end = op_ms.copy()
    for u, v in zip(workload.edge_src.tolist(), workload.edge_dst.tolist(), strict=True):
        end[v] = max(end[v], end[u] + op_ms[v])
    return float(end.max())


@given(placed(), st.sampled_from(EXECUTORS))
@some
def test_no_execution_is_shorter_than_its_bounds(one: Placed, executor: str) -> None:
    fastest = one.workload.op_ms.min(axis=1)
    assert makespan(one, executor) >= fastest.sum() / one.machine.num_devices
    if executor != "pipeline":
        assert makespan(one, executor) >= longest_path(one.workload, fastest)


@given(placed(), st.integers(0, 2), st.integers(0, 2), st.sampled_from(["bandwidth", "speed", "memory"]))
@some
def test_a_better_machine_never_makes_sequential_worse(one: Placed, source: int, target: int, what: str) -> None:
    source, target = source % one.machine.num_devices, target % one.machine.num_devices
    devices = tuple(replace(device, memory_bytes=9.0) for device in one.machine.devices)
    one = replace(one, machine=replace(one.machine, devices=devices))
    if what == "bandwidth":
        bytes_per_ms = one.machine.bytes_per_ms.copy()
        bytes_per_ms[source, target] *= 1.5
        better = replace(one, machine=replace(one.machine, bytes_per_ms=bytes_per_ms))
    elif what == "speed":
        op_ms = one.workload.op_ms.copy()
        op_ms[:, source] /= 2
        better = replace(one, workload=replace(one.workload, op_ms=op_ms))
    else:
        more = tuple(replace(d, memory_bytes=9.0 + 3 * (i == source)) for i, d in enumerate(devices))
        better = replace(one, machine=replace(one.machine, devices=more))
    assert makespan(better, "sequential") <= makespan(one, "sequential")


@given(placed(), st.randoms(use_true_random=False), st.sampled_from(EXECUTORS))
@some
def test_numbering_of_ops_makes_no_difference(one: Placed, random: object, executor: str) -> None:
    workload = one.workload
    shuffled = list(range(workload.num_ops))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    place = np.argsort(shuffled)
    other = Workload.of(
        "renumbered",
        workload.kinds,
        workload.op_ms[shuffled],
        place[np.column_stack([workload.edge_src, workload.edge_dst])],
        output_bytes=workload.output_bytes[shuffled],
        resident_bytes=workload.resident_bytes[shuffled],
        op_ids=tuple(shuffled),
    )
    old = np.array(other.op_ids, dtype=np.int64)
    before = run(one, executor)
    after = run(Placed(other, one.machine, one.device[old], one.priority[old]), executor)
    assert after.makespan_ms == before.makespan_ms
    if executor != "pipeline":  # where devices run their ops by number
        assert after.start_ms.tolist() == before.start_ms[old].tolist()
        assert after.peak_bytes.tolist() == before.peak_bytes.tolist()


@given(placed(), st.sampled_from(["sequential", "concurrent"]))
@some
def test_critical_path_leads_from_the_beginning_to_the_makespan(one: Placed, executor: str) -> None:
    execution = run(one, executor)
    path = execution.critical_path
    assert execution.start_ms[path[0]] == 0
    assert execution.finish_ms[path[-1]] == execution.makespan_ms
    gaps = execution.start_ms[path[1:]] - execution.finish_ms[path[:-1]]
    assert (gaps >= 0).all()
    if not len(execution.transfers.producer):
        assert not gaps.any()


@given(placed(), st.sampled_from(EXECUTORS))
@some
def test_busy_fractions_are_the_parts_of_the_makespan_in_use(one: Placed, executor: str) -> None:
    execution = run(one, executor)
    moved = execution.transfers
    took = moved.finish_ms - moved.start_ms
    for d in range(one.machine.num_devices):
        busy = (execution.finish_ms - execution.start_ms)[one.device == d].sum()
        if not one.machine.overlap:
            busy += took[(moved.source == d) | (moved.target == d)].sum()
        assert execution.busy_fraction[d] * execution.makespan_ms == pytest.approx(busy)
        assert execution.busy_fraction[d] <= 1 + 1e-9
    assert (execution.link_busy_fraction <= 1 + 1e-9).all()


def fork(*, overlap: bool, link: int) -> tuple[Workload, Machine]:
    """Op 0 is read by op 1 beside it and by ops 2 and 3 elsewhere; computing takes 2 ms, a transfer 3 ms."""
    workload = Workload.of(
        "fork", ("gpu",), np.full((4, 1), 2.0), np.array([(0, 1), (0, 2), (0, 3)]), output_bytes=np.full(4, 6.0)
    )
    devices = tuple(Device(f"gpu{i}", "gpu") for i in range(3))
    machine = Machine.uniform("three", devices, bytes_per_ms=2.0, overlap=overlap)
    return workload, replace(machine, link=np.where(np.eye(3, dtype=np.bool_), -1, link).astype(np.int32))


@pytest.mark.parametrize(
    ("overlap", "link", "starts"),
    [
        (True, -1, [0, 2, 5, 5]),  # both transfers at once, beside op 1
        (True, 0, [0, 2, 5, 8]),  # one after the other
        (False, -1, [0, 8, 5, 8]),  # op 1 waits for both
    ],
)
def test_transfers_wait_for_links_and_keep_devices_busy_as_the_machine_says(
    overlap: bool, link: int, starts: list[float]
) -> None:
    workload, machine = fork(overlap=overlap, link=link)
    execution = execute(workload, machine, "concurrent", np.array([0, 0, 1, 2]))
    assert execution.start_ms.tolist() == starts


def test_a_placement_that_is_not_legal_is_refused_with_the_reason() -> None:
    op_ms = np.array([[1.0, 2.0], [np.inf, 2.0], [1.0, 2.0]])
    workload = Workload.of(
        "picky", ("gpu", "cpu"), op_ms, np.array([(0, 1)]), output_bytes=np.ones(3), colocation=np.array([7, 3, 7])
    )
    machine = Machine.uniform("two", (Device("fast", "gpu"), Device("host", "cpu")), bytes_per_ms=1.0)
    with pytest.raises(PlanError, match="op 1 cannot run on device fast"):
        execute(workload, machine, "sequential", np.array([0, 0, 0]))
    with pytest.raises(PlanError, match="ops 0 and 2 are of one colocation class but on devices fast and host"):
        execute(workload, machine, "sequential", np.array([0, 1, 1]))
    with pytest.raises(UsageError, match="no executor 'magic'; choose from sequential"):
        execute(workload, machine, "magic", np.array([0, 1, 0]))
