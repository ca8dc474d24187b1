"""Plans on several devices: kernels and copies one after another, and what each device holds meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.partitions import partitioned
from tests.tvm_go.report.plans import placed_plan_of, plan_of, rows_in, scene_in
from tvm_go.copies import HOST, copies
from tvm_go.errors import PlanError
from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import returned_values
from tvm_go.report.plan_scene import plan_scene
from tvm_go.report.steps import Steps, live_bytes_of, steps_of
from tvm_go.report.words import amount, milliseconds

_PLACED = given(seed=st.integers(0, 10**6), num_ops=st.integers(1, 60), num_devices=st.integers(1, 4))


def placed(seed: int, num_ops: int, num_devices: int) -> tuple[OpGraph, Int32, Int32]:
    graph, kernel = partitioned(seed, num_ops)
    device = np.random.default_rng(seed).integers(0, num_devices, size=kernel.max() + 1)
    return graph, kernel, device.astype(np.int32)


def by_executor(graph: OpGraph, kernel: Int32, device: Int32) -> list[tuple[str, int, int]]:
    """Kernels ("", kernel, device) and copies ("copy", value, device) in order, each copy on demand."""
    home = {value: int(device[kernel[op]]) if op >= 0 else HOST for value, op in enumerate(graph.value_op.tolist())}
    there = set(home.items())
    done: list[tuple[str, int, int]] = []

    def fetch(value: int, place: int) -> None:
        if (value, place) not in there:
            there.add((value, place))
            done.append(("copy", value, place))

    for number, place in enumerate(device.tolist()):
        for use in np.flatnonzero(kernel[graph.use_op] == number):
            fetch(int(graph.use_value[use]), place)
        done.append(("", number, place))
    for value in graph.output_values.tolist():
        fetch(value, HOST)
    return done


def in_order(steps: Steps, device: Int32) -> list[tuple[str, int, int]]:
    found: dict[int, tuple[str, int, int]] = {}
    for number, step in enumerate(steps.of_kernel.tolist()):
        found[step] = ("", number, int(device[number]))
    for number, step in enumerate(steps.of_copy.tolist()):
        found[step] = ("copy", int(steps.copies.value[number]), int(steps.copies.destination[number]))
    assert sorted(found) == list(range(steps.count))
    return [found[step] for step in range(steps.count)]


@_PLACED
@settings(max_examples=60, deadline=None)
def test_every_copy_is_made_once_before_the_first_kernel_that_reads_it(
    seed: int, num_ops: int, num_devices: int
) -> None:
    graph, kernel, device = placed(seed, num_ops, num_devices)
    assert in_order(steps_of(graph, kernel, device), device) == by_executor(graph, kernel, device)


@_PLACED
@settings(max_examples=40, deadline=None)
def test_memory_is_what_is_alive_on_a_device_during_a_step(seed: int, num_ops: int, num_devices: int) -> None:
    graph, kernel, device = placed(seed, num_ops, num_devices)
    steps = steps_of(graph, kernel, device)
    alive = np.zeros((num_devices, steps.count))

    def hold(value: int, place: int, since: int) -> None:
        readers = kernel[graph.use_op[graph.use_value == value]]
        copied = (steps.copies.value == value) & (steps.copies.source == place)
        until = [since, *steps.of_kernel[readers[device[readers] == place]], *steps.of_copy[copied]]
        kept = graph.is_output[value] and place == HOST
        alive[place, since : steps.count if kept else max(until) + 1] += graph.value_bytes[value]

    for value in np.flatnonzero(returned_values(graph, kernel)).tolist():
        maker = kernel[graph.value_op[value]]
        hold(value, int(device[maker]), int(steps.of_kernel[maker]))
    for value, place, since in zip(
        steps.copies.value.tolist(), steps.copies.destination.tolist(), steps.of_copy.tolist(), strict=True
    ):
        hold(value, place, since)
    assert live_bytes_of(graph, kernel, device, steps, num_devices).tolist() == alive.tolist()


@_PLACED
@settings(max_examples=40, deadline=None)
def test_a_run_takes_its_kernels_and_its_copies(seed: int, num_ops: int, num_devices: int) -> None:
    plan = placed_plan_of(num_ops, seed=seed, num_devices=num_devices)
    assert plan.details is not None
    run = plan_scene(plan).run
    moved = copies(plan.details.graph, plan.kernel, plan.device)
    assert len(run.copy_value) == moved.count
    assert run.copy_ms.tolist() == plan.provenance["copy_ms"]
    assert run.copy_bytes.tolist() == moved.num_bytes.tolist()
    if run.measured:
        starts, ends = (
            np.concatenate(pair) for pair in ((run.start_ms, run.copy_start_ms), (run.end_ms, run.copy_end_ms))
        )
        total = float(np.nansum(plan.details.ms)) + sum(plan.provenance["copy_ms"])
        assert ends.max() == pytest.approx(total)
        np.testing.assert_allclose(np.sort(starts)[1:], np.sort(ends)[:-1])
        np.testing.assert_allclose(run.copy_end_ms - run.copy_start_ms, run.copy_ms, atol=1e-9)
    assert (run.memory_bytes >= 0).all()
    for number in range(num_devices):
        own = run.memory_device == number
        assert own.sum() == plan.num_kernels + moved.count
        assert (np.diff(run.memory_ms[own]) >= 0).all()


def test_the_page_says_where_kernels_are_and_what_is_copied() -> None:
    plan = placed_plan_of(80, seed=4)
    assert plan.details is not None
    graph = plan.details.graph
    html = plan.to_html()
    texts, arrays = scene_in(html)
    moved = copies(graph, plan.kernel, plan.device)
    assert texts["devices"] == ["cpu", "opencl"]
    for row in rows_in(html, "kernel-table"):
        assert row[2] == plan.devices[plan.device[int(row[0])]]
    made = arrays["value_op"][arrays["copy_value"]]
    inner = made >= 0
    kernel_of = np.repeat(np.arange(plan.num_kernels), np.diff(arrays["op_start"]))
    assert kernel_of[made[inner]].tolist() == plan.kernel[graph.value_op[moved.value[inner]]].tolist()
    assert (~inner).sum() == (graph.value_op[moved.value] < 0).sum() == 1
    assert arrays["copy_device"].tolist() == moved.destination.tolist()
    total = f"{moved.count} (1 of inputs), {amount(moved.num_bytes.sum(), 'B')}"
    taken = f"{milliseconds(sum(plan.provenance['copy_ms']))} ms predicted"
    assert f"<dt>copies</dt><dd>{total}, {taken}</dd>" in html


def test_copies_of_which_nobody_knows_the_time_take_none_and_say_so() -> None:
    plan = placed_plan_of(60, seed=2)
    plan = replace(plan, provenance={name: one for name, one in plan.provenance.items() if name != "copy_ms"})
    scene = plan_scene(plan)
    assert np.isnan(scene.run.copy_ms).all()
    assert scene.run.end_ms.max() == pytest.approx(float(np.nansum(scene.run.ms)))
    assert dict(scene.facts)["copies"].endswith(", time not known")


def test_times_of_other_copies_are_refused() -> None:
    plan = placed_plan_of(60, seed=2)
    with pytest.raises(PlanError, match=r"how long 1 copies take and makes \d+: tune again"):
        plan_scene(plan.with_provenance(copy_ms=[1.0]))
    with pytest.raises(PlanError, match=r"copy_ms are no times .*: tune again"):
        plan_scene(plan.with_provenance(copy_ms="fast"))


def test_kernels_that_moved_to_another_device_changed() -> None:
    plan = plan_of(60, seed=3, compared=False)
    assert plan.details is not None
    alone = replace(plan, target="cpu=llvm, opencl=opencl")
    device = (np.arange(plan.num_kernels) % 2).astype(np.int32)
    moved = replace(alone, device=device, lowering=())
    texts, arrays = scene_in(moved.to_html(against=replace(alone, lowering=())))
    assert [texts["kinds"][kind] for kind in arrays["change"]] == [("same", "moved")[place] for place in device]
    assert not arrays["other_device"].any()
    rows = rows_in(moved.to_html(against=alone), "change-table")
    assert {row[1] for row in rows if row[0] == "moved"} == {"cpu → opencl"}


def test_the_other_plan_runs_on_its_own_devices_with_its_own_copies() -> None:
    plan = placed_plan_of(60, seed=5)
    other = replace(plan, device=1 - plan.device, provenance={}, lowering=())
    comparison = plan_scene(plan, other).comparison
    assert comparison is not None
    assert comparison.other_device.tolist() == other.device.tolist()
    np.testing.assert_array_equal(comparison.other_start_ms, plan_scene(other).run.start_ms)


def test_a_plan_for_one_device_makes_no_copies() -> None:
    plan = plan_of(60)
    texts, arrays = scene_in(plan.to_html())
    assert texts["devices"] == ["llvm"]
    assert len(arrays["copy_value"]) == 0
    assert "<dt>copies</dt>" not in plan.to_html()


def test_a_default_for_the_host_alone_is_on_the_host() -> None:
    comparison = plan_scene(placed_plan_of(40, seed=7)).comparison
    assert comparison is not None
    assert not comparison.other_device.any()
