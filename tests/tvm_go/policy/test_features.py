"""What the policy sees: the same for a graph however its ops are numbered, and always finite."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.policy.drawn import machine_of, random_workload
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.graph import Int64
from tvm_go.policy import graph_input
from tvm_go.policy.depth import depth_of, progress
from tvm_go.policy.inputs import DEVICE_FEATURES, GRAPH_FEATURES, OP_FEATURES, PAIR_FEATURES
from tvm_go.simulate import OBJECTIVES, Workload


def renumbered(workload: Workload, rng: np.random.Generator) -> tuple[Workload, Int64]:
    """The same graph in another topological order, and where each op went: int64 [N]."""
    waiting = np.bincount(workload.edge_dst, minlength=workload.num_ops)
    ready = np.flatnonzero(waiting == 0).tolist()
    order = []
    starts, readers = workload.readers
    while ready:
        op = ready.pop(int(rng.integers(len(ready))))
        order.append(op)
        for reader in readers[starts[op] : starts[op + 1]].tolist():
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    place = np.argsort(order)
    again = Workload.of(
        workload.name,
        workload.kinds,
        workload.op_ms[order],
        np.column_stack([place[workload.edge_src], place[workload.edge_dst]]),
        output_bytes=workload.output_bytes[order],
        resident_bytes=workload.resident_bytes[order],
        colocation=workload.colocation[order],
    )
    return again, place


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_features_are_finite_and_of_the_stated_shape(seed: int, num_ops: int, gpus: int) -> None:
    graph = graph_input(random_workload(np.random.default_rng(seed), num_ops), machine_of(gpus))
    assert graph.op_features.shape == (num_ops, OP_FEATURES)
    assert graph.device_features.shape == (gpus + 1, DEVICE_FEATURES)
    assert graph.pair_features.shape == (num_ops, gpus + 1, PAIR_FEATURES)
    assert graph.graph_features.shape == (GRAPH_FEATURES,)
    for array in (graph.op_features, graph.device_features, graph.pair_features, graph.graph_features, graph.travel):
        assert array.dtype == np.float32 and np.isfinite(array).all() and np.abs(array).max() < 1e7
    assert graph.op_share.sum() == pytest.approx(1, rel=1e-4) and graph.byte_share.sum() == pytest.approx(1, rel=1e-4)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_features_of_ops_do_not_depend_on_their_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    workload = random_workload(rng)
    again, place = renumbered(workload, rng)
    one, other = graph_input(workload, machine_of(2)), graph_input(again, machine_of(2))
    assert np.allclose(one.op_features, other.op_features[place], atol=1e-5)
    by_order = 3  # these columns follow the order of the program, which is not the numbering's doing
    assert np.allclose(one.pair_features[..., :by_order], other.pair_features[place][..., :by_order], atol=1e-4)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_units_do_not_matter(time_unit: float, byte_unit: float) -> None:
    workload = random_workload(np.random.default_rng(4))
    machine = machine_of(2)
    scaled = replace(
        workload,
        op_ms=workload.op_ms * time_unit,
        output_bytes=workload.output_bytes * byte_unit,
        resident_bytes=workload.resident_bytes * byte_unit,
    )
    devices = tuple(replace(device, memory_bytes=device.memory_bytes * byte_unit) for device in machine.devices)
    in_units = replace(
        machine,
        devices=devices,
        bytes_per_ms=machine.bytes_per_ms * (byte_unit / time_unit),
        latency_ms=machine.latency_ms * time_unit,
    )
    one, other = graph_input(workload, machine), graph_input(scaled, in_units)
    for name in ("op_features", "device_features", "pair_features", "graph_features", "travel", "room"):
        assert np.allclose(getattr(one, name), getattr(other, name), atol=1e-4), name


def test_depths_of_a_small_graph() -> None:
    # 0 -> 1 -> 3 and 2 -> 3, with 2 taking longest
    ends = np.array([0, 1, 2], dtype=np.int32), np.array([1, 3, 3], dtype=np.int32)
    depth = depth_of(*ends, np.array([1.0, 2.0, 7.0, 1.0]))
    assert depth.level.tolist() == [0, 1, 0, 2]
    assert depth.height.tolist() == [2, 1, 1, 0]
    assert depth.before_ms.tolist() == [0, 1, 0, 7]
    assert depth.after_ms.tolist() == [4, 3, 8, 1]


def test_progress_is_the_middle_of_each_place() -> None:
    places = np.array([0, 1, 0, 2])
    assert progress(np.array([1.0, 2.0, 1.0, 4.0]), places).tolist() == [0.125, 0.375, 0.125, 0.75]
    assert progress(np.zeros(4), places).tolist() == [0.25, 0.625, 0.25, 0.875]


def test_a_contiguous_cut_lies_within_the_shares_of_its_devices() -> None:
    chain = np.column_stack([np.arange(39), np.arange(1, 40)])
    workload = Workload.of("chain", ("gpu",), np.ones((40, 1)), chain, output_bytes=np.ones(40))
    graph = graph_input(workload, replace(machine_of(3), devices=machine_of(4).devices[1:]))
    for column in (2, 3):
        nearest = np.abs(graph.pair_features[..., column]).argmin(axis=1)
        assert nearest.tolist() == np.repeat(np.arange(4), 10).tolist()


def test_the_objective_is_told() -> None:
    workload, machine = random_workload(np.random.default_rng(0)), machine_of(2)
    seen = {graph_input(workload, machine, objective).graph_features.tobytes() for objective in OBJECTIVES}
    assert len(seen) == len(OBJECTIVES)


def test_an_unknown_objective_is_named_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"'speed'; choose from throughput"):
        graph_input(random_workload(np.random.default_rng(0)), machine_of(1), "speed")


def test_an_empty_graph_is_refused() -> None:
    empty = Workload.of("nothing", ("cpu", "gpu"), np.zeros((0, 2)), np.zeros((0, 2), int), output_bytes=np.zeros(0))
    with pytest.raises(UnsupportedModelError, match="nothing: the graph is empty"):
        graph_input(empty, machine_of(1))


def test_a_class_that_no_device_runs_whole_is_refused() -> None:
    op_ms = np.array([[1.0, np.inf], [np.inf, 1.0]])
    torn = Workload.of(
        "torn", ("cpu", "gpu"), op_ms, np.array([[0, 1]]), output_bytes=np.ones(2), colocation=np.zeros(2, int)
    )
    with pytest.raises(UnsupportedModelError, match="no device of box runs all ops that share a device with op 0"):
        graph_input(torn, machine_of(1))
