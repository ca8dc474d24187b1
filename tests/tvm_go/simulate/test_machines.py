"""Machines by data sheets, and memory that one device does not suffice for."""

import numpy as np
import pytest

from tvm_go.errors import UsageError
from tvm_go.simulate.costs import costs_of
from tvm_go.simulate.depth_first import depth_first
from tvm_go.simulate.execution import execute
from tvm_go.simulate.families import FAMILIES, generate
from tvm_go.simulate.machines import NETWORK, NVLINK2, P100, PCIE3, V100, XEON, box, cluster, tight
from tvm_go.simulate.need import bytes_at_peak, parts_of_equal_need
from tvm_go.simulate.roofline import EFFICIENCY, DeviceSpec, roofline_ms
from tvm_go.simulate.workload import Workload


@pytest.mark.parametrize("count", [2, 8, 64])
def test_a_box_joins_every_pair_at_the_speed_of_its_link(count: int) -> None:
    machine = box("box", [V100] * count, NVLINK2)
    apart = ~np.eye(count, dtype=np.bool_)
    assert machine.num_devices == count
    assert (machine.bytes_per_ms[apart] == NVLINK2.bytes_per_ms).all() and np.isinf(machine.bytes_per_ms[~apart]).all()
    assert (machine.latency_ms[apart] == NVLINK2.latency_ms).all() and not machine.latency_ms[~apart].any()
    assert len(set(machine.link[apart].tolist())) == count * (count - 1)
    assert (machine.link[~apart] == -1).all()


def test_what_leaves_a_device_shares_its_pcie_port() -> None:
    machine = box("box", [XEON, P100, P100], PCIE3)
    assert machine.link.tolist() == [[-1, 0, 0], [1, -1, 1], [2, 2, -1]]
    assert [device.kind for device in machine.devices] == ["xeon", "p100", "p100"]


def test_what_leaves_a_box_shares_its_port_to_the_network() -> None:
    machine = cluster("cluster", [V100] * 2, NVLINK2, boxes=3, network=NETWORK)
    box_of = np.arange(6) // 2
    for source in range(6):
        for target in range(6):
            if box_of[source] != box_of[target]:
                assert machine.bytes_per_ms[source, target] == NETWORK.bytes_per_ms
                assert machine.link[source, target] == machine.link[2 * box_of[source], (2 * box_of[source] + 2) % 6]
    assert sorted(set(machine.link.flat)) == list(range(-1, 9))  # six pairs within boxes, three ports


def test_a_machine_needs_devices() -> None:
    with pytest.raises(UsageError, match="0 boxes of 1 devices"):
        cluster("none", [V100], NVLINK2, boxes=0, network=NETWORK)


def test_roofline_takes_the_larger_of_arithmetic_and_traffic() -> None:
    spec = DeviceSpec("fast", flops_per_ms=100.0, bytes_per_ms=10.0, launch_ms=0.5, memory_bytes=1.0)
    flops, moved = np.array([100.0, 0.0, 100.0]), np.array([0.0, 10.0, 20.0])
    expected = 0.5 + np.array([1.0, 1.0, 2.0]) / EFFICIENCY
    assert roofline_ms(flops, moved, [spec])[:, 0] == pytest.approx(expected)
    with pytest.raises(UsageError, match="each kind once"):
        roofline_ms(flops, moved, [spec, spec])


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("count", [2, 4, 8])
def test_on_a_tight_machine_equal_parts_fit_and_one_device_does_not(family: str, count: int) -> None:
    workload = generate(family, 1000, np.random.default_rng(3), training=True).workload([P100])
    machine = tight(box("box", [P100] * count, PCIE3), workload)
    whole, parts = np.zeros(workload.num_ops, dtype=np.int32), parts_of_equal_need(workload, count)
    orders = None, depth_first(costs_of(workload, machine))
    assert all(execute(workload, machine, "concurrent", whole, order).out_of_memory for order in orders)
    assert not all(execute(workload, machine, "concurrent", parts, order).out_of_memory for order in orders)


def test_depth_first_ends_one_micro_batch_before_the_next() -> None:
    edges = np.array([(0, 2), (1, 3), (2, 4), (3, 5)])
    workload = Workload.of("two", ("p100",), np.ones((6, 1)), edges, output_bytes=np.ones(6))
    priority = depth_first(costs_of(workload, box("box", [P100], PCIE3)))
    assert np.argsort(-priority).tolist() == [0, 2, 4, 1, 3, 5]


def test_a_workload_of_one_op_cannot_be_made_tight() -> None:
    workload = Workload.of("one", ("p100",), np.ones((1, 1)), np.empty((0, 2), dtype=np.int64), output_bytes=np.ones(1))
    with pytest.raises(UsageError, match="take fewer devices or a larger workload"):
        tight(box("box", [P100] * 2, PCIE3), workload)
    with pytest.raises(UsageError, match="slack is 1"):
        tight(box("box", [P100] * 2, PCIE3), workload, slack=1.0)


def test_need_adds_up_to_the_peak_of_one_device() -> None:
    workload = generate("gpt", 600, np.random.default_rng(0), training=True).workload([P100])
    machine = box("box", [P100], PCIE3)
    in_order = -np.arange(workload.num_ops, dtype=np.float64)
    run = execute(workload, machine, "sequential", np.zeros(workload.num_ops, dtype=np.int32), in_order)
    assert bytes_at_peak(workload).sum() == pytest.approx(run.peak_bytes[0])
