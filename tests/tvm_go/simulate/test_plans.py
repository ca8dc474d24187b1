"""Whole plans: what is simulated at once is what kernels, copies and layout changes take one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.simulate.planned import planned_graph, random_plan
from tests.tvm_go.simulate.slow_plans import slow_run
from tvm_go.errors import UsageError
from tvm_go.kernels import describe, free_kernels, members, returned_values
from tvm_go.legalize import check_partition
from tvm_go.simulate import Machine, evaluate
from tvm_go.simulate.execution import execute
from tvm_go.simulate.forms import FORMS, forms_of
from tvm_go.simulate.from_kernels import from_kernels
from tvm_go.simulate.mixed_machines import draw_machine, draw_reach
from tvm_go.simulate.roofline import EFFICIENCY, roofline_ms


def kinds_apart(machine: Machine) -> tuple[tuple[str, ...], Machine]:
    """Every device as a kind of its own."""
    kinds = tuple(str(d) for d in range(machine.num_devices))
    devices = (replace(device, kind=kind) for device, kind in zip(machine.devices, kinds, strict=True))
    return kinds, replace(machine, devices=tuple(devices))


@given(seed=st.integers(0, 10**6), num_ops=st.integers(1, 40), devices=st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_a_plan_of_usual_forms_takes_what_the_workload_of_its_kernels_takes(
    seed: int, num_ops: int, devices: int
) -> None:
    planned = planned_graph(seed, num_ops, devices)
    plan = random_plan(planned, np.random.default_rng(seed), usual=True)
    kinds, machine = kinds_apart(planned.machine)
    model = from_kernels(planned.graph, plan.kernel, planned.kernel_ms(plan.form, plan.kernel), kinds)
    shown, device, priority = planned.workload(plan)
    assert np.array_equal(shown.node, model.node)
    expected = evaluate(model.workload, machine, "concurrent", device[None], priority[None])[0]
    assert planned.milliseconds(plan) == expected


@given(seed=st.integers(0, 10**6), num_ops=st.integers(1, 40), devices=st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_a_plan_takes_what_its_kernels_and_layout_changes_take_one_by_one(
    seed: int, num_ops: int, devices: int
) -> None:
    planned = planned_graph(seed, num_ops, devices)
    plan = random_plan(planned, np.random.default_rng(seed))
    slow = slow_run(planned, plan)
    _, machine = kinds_apart(planned.machine)
    placed = np.array([slow.device], dtype=np.int32), np.array([slow.priority])
    expected = evaluate(slow.workload(), machine, "concurrent", *placed)[0]
    assert planned.milliseconds(plan) == pytest.approx(expected, rel=1e-12)
    shown, device, priority = planned.workload(plan)
    assert evaluate(shown.workload, planned.machine, "concurrent", device[None], priority[None])[0] == pytest.approx(
        expected, rel=1e-12
    )


@given(seed=st.integers(0, 10**6), num_ops=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_any_decisions_become_legal_kernels_on_one_device_each_that_change_no_layout_inside(
    seed: int, num_ops: int
) -> None:
    planned = planned_graph(seed, num_ops)
    graph, plan = planned.graph, random_plan(planned, np.random.default_rng(seed))
    check_partition(graph, plan.kernel, planned.rules)
    assert len(set(zip(plan.kernel.tolist(), plan.device.tolist(), strict=True))) == plan.kernel.max() + 1
    inside = plan.kernel[graph.edge_src] == plan.kernel[graph.edge_dst]
    assert not (inside & planned.changed_edges(plan.form)).any()


@given(seed=st.integers(0, 10**6), form=st.integers(-2, 20))
@settings(max_examples=30, deadline=None)
def test_an_op_takes_its_usual_form_in_place_of_one_that_it_does_not_have(seed: int, form: int) -> None:
    planned = planned_graph(seed)
    zeros = np.zeros(planned.num_ops, dtype=np.int64)
    plan = planned.legal(zeros + form, zeros, np.zeros(planned.graph.num_edges, dtype=np.int64), zeros)
    has = forms_of(planned.graph)
    expected = has[:, form] * form if 0 <= form < len(FORMS) else zeros
    assert np.array_equal(plan.form, expected)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_kernels_of_usual_forms_take_the_roofline_of_their_arithmetic_and_of_what_they_read_and_write(
    seed: int,
) -> None:
    planned = planned_graph(seed)
    graph, plan = planned.graph, random_plan(planned, np.random.default_rng(seed), usual=True)
    starts, ops = members(plan.kernel)
    leaving = returned_values(graph, plan.kernel)
    kernels = [describe(graph, ops[a:b], leaving) for a, b in zip(starts, starts[1:])]  # noqa: B905, RUF007
    flops = np.array([graph.flops[list(one.ops)].sum() for one in kernels])
    moved = np.array([graph.value_bytes[[*one.inputs, *one.outputs]].sum() for one in kernels], dtype=np.float64)
    by_kind = roofline_ms(flops, moved, planned.specs)
    by_kind[free_kernels(graph, plan.kernel)] = 0.0
    kinds = [spec.kind for spec in planned.specs]
    expected = by_kind[:, [kinds.index(device.kind) for device in planned.machine.devices]]
    assert planned.kernel_ms(plan.form, plan.kernel) == pytest.approx(expected)


def test_the_default_plan_has_the_kernels_of_fuse_ops_where_one_device_has_all() -> None:
    planned = planned_graph(1)
    plan = planned.default_plan(np.ones(planned.num_ops, dtype=np.int64), 3)
    assert np.array_equal(plan.kernel, planned.default)
    assert set(plan.device.tolist()) == {1} and set(plan.level.tolist()) == {3}


def test_larger_levels_go_first() -> None:
    """Of two kernels that are ready at once on one device, the one with the larger level starts first."""
    planned = planned_graph(3, 40)
    alone = np.zeros(planned.graph.num_edges, dtype=np.int64)
    device, usual = np.ones(planned.num_ops, dtype=np.int64), np.zeros(planned.num_ops, dtype=np.int64)
    first = [
        planned.legal(usual, device, alone, np.where(np.arange(planned.num_ops) == op, level, 1))
        for op in range(planned.num_ops)
        for level in (0, 2)
    ]
    starts = []
    for number, plan in enumerate(first):
        model, where, priority = planned.workload(plan)
        ran = execute(model.workload, planned.machine, "concurrent", where, priority)
        starts.append(ran.start_ms[model.node[plan.kernel[number // 2]]])
    late, early = np.array(starts).reshape(-1, 2).T
    assert (early <= late).all() and (early < late).any()


def test_devices_without_a_data_sheet_are_named() -> None:
    planned = planned_graph(1)
    with pytest.raises(UsageError, match="no data sheet for devices of kind 'host'"):
        _ = replace(planned, specs=planned.specs[1:], reach=planned.reach[1:]).view


def test_a_reach_is_wanted_for_each_kind_of_device_and_form() -> None:
    planned = planned_graph(1)
    for reach in (planned.reach[1:], planned.reach[:, 1:], planned.reach * 1.1, -planned.reach):
        with pytest.raises(UsageError, match="give a positive reach for each of"):
            replace(planned, reach=reach)


@pytest.mark.parametrize("count", [2, 4])
def test_drawn_machines_have_a_host_that_starts_kernels_sooner_than_accelerators(count: int) -> None:
    for seed in range(20):
        machine, specs = draw_machine(count, np.random.default_rng(seed))
        assert machine.num_devices == count and machine.devices[0].kind == "host"
        assert {device.kind for device in machine.devices} == {spec.kind for spec in specs}
        assert all(specs[0].launch_ms <= spec.launch_ms for spec in specs)
        again, _ = draw_machine(count, np.random.default_rng(seed))
        assert np.array_equal(machine.bytes_per_ms, again.bytes_per_ms)
        reach = draw_reach(specs, np.random.default_rng(seed))
        assert (reach[:, 0] == 1).all() and (reach > 0).all() and (reach <= 1 / EFFICIENCY).all()
