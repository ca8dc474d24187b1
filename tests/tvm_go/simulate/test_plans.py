"""Whole plans: what is simulated at once is what the kernels' workload takes, and to fuse saves what it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.simulate.planned import planned_graph, random_plan
from tvm_go.errors import UsageError
from tvm_go.kernels import describe, free_kernels, members, returned_values
from tvm_go.legalize import check_partition
from tvm_go.simulate import evaluate
from tvm_go.simulate.execution import execute
from tvm_go.simulate.mixed_machines import draw_machine
from tvm_go.simulate.roofline import roofline_ms


@given(seed=st.integers(0, 10**6), num_ops=st.integers(1, 40), devices=st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_a_plan_takes_what_the_workload_of_its_kernels_takes(seed: int, num_ops: int, devices: int) -> None:
    planned = planned_graph(seed, num_ops, devices)
    plan = random_plan(planned, np.random.default_rng(seed))
    model, device, priority = planned.workload(plan)
    expected = evaluate(model.workload, planned.machine, "concurrent", device[None], priority[None])[0]
    assert planned.milliseconds(plan) == pytest.approx(expected, rel=1e-12)


@given(seed=st.integers(0, 10**6), num_ops=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_any_decisions_become_legal_kernels_on_one_device_each(seed: int, num_ops: int) -> None:
    planned = planned_graph(seed, num_ops)
    plan = random_plan(planned, np.random.default_rng(seed))
    check_partition(planned.graph, plan.kernel, planned.rules)
    assert len(set(zip(plan.kernel.tolist(), plan.device.tolist(), strict=True))) == plan.kernel.max() + 1


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_kernels_take_the_roofline_of_their_arithmetic_and_of_what_they_read_and_write(seed: int) -> None:
    planned = planned_graph(seed)
    graph, kernel = planned.graph, random_plan(planned, np.random.default_rng(seed)).kernel
    starts, ops = members(kernel)
    kernels = [describe(graph, ops[a:b], returned_values(graph, kernel)) for a, b in zip(starts, starts[1:])]  # noqa: B905, RUF007
    flops = np.array([graph.flops[list(one.ops)].sum() for one in kernels])
    moved = np.array([graph.value_bytes[[*one.inputs, *one.outputs]].sum() for one in kernels], dtype=np.float64)
    by_kind = roofline_ms(flops, moved, planned.specs)
    by_kind[free_kernels(graph, kernel)] = 0.0
    kinds = [spec.kind for spec in planned.specs]
    expected = by_kind[:, [kinds.index(device.kind) for device in planned.machine.devices]]
    assert planned.kernel_ms(kernel) == pytest.approx(expected)


def test_the_default_plan_has_the_kernels_of_fuse_ops_where_one_device_has_all() -> None:
    planned = planned_graph(1)
    plan = planned.default_plan(np.ones(planned.num_ops, dtype=np.int64), 3)
    assert np.array_equal(plan.kernel, planned.default)
    assert set(plan.device.tolist()) == {1} and set(plan.level.tolist()) == {3}


def test_larger_levels_go_first() -> None:
    """Of two kernels that are ready at once on one device, the one with the larger level starts first."""
    planned = planned_graph(3, 40)
    alone = np.zeros(planned.graph.num_edges, dtype=np.int64)
    device = np.ones(planned.num_ops, dtype=np.int64)
    first = [
        planned.legal(device, alone, np.where(np.arange(planned.num_ops) == op, level, 1))
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
        _ = replace(planned, specs=planned.specs[1:]).view


@pytest.mark.parametrize("count", [2, 4])
def test_drawn_machines_have_a_host_that_starts_kernels_sooner_than_accelerators(count: int) -> None:
    for seed in range(20):
        machine, specs = draw_machine(count, np.random.default_rng(seed))
        assert machine.num_devices == count and machine.devices[0].kind == "host"
        assert {device.kind for device in machine.devices} == {spec.kind for spec in specs}
        assert all(specs[0].launch_ms <= spec.launch_ms for spec in specs)
        again, _ = draw_machine(count, np.random.default_rng(seed))
        assert np.array_equal(machine.bytes_per_ms, again.bytes_per_ms)
