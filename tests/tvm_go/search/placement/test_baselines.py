"""Strategies that build a placement instead of searching for one."""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.tvm_go.search.placement.drawn import problems as small_problems
from tests.tvm_go.search.placement.small import brute_force
from tvm_go.errors import UsageError
from tvm_go.search.placement import critical_path, expert, m_etf, metis, round_robin, single
from tvm_go.search.placement._contiguous import contiguous
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.families import FAMILIES, generate
from tvm_go.simulate.machines import P100, PCIE3, box, tight
from tvm_go.simulate.objectives import evaluate

Search = Callable[[PlacementProblem, np.random.Generator], None]

BASELINES: dict[str, Search] = {
    "single": single.search,
    "round_robin": round_robin.search,
    "expert": expert.search,
    "critical_path": critical_path.search,
    "m_etf": m_etf.search,
    "metis": metis.search,
}
PLACING = [name for name in BASELINES if name != "single"]
OBJECTIVES = ("throughput", "latency", "sequential", "concurrent", "pipeline")


def solved(name: str, workload: Workload, machine: Machine, objective: str = "concurrent") -> PlacementProblem:
    problem = PlacementProblem(workload, machine, objective)
    BASELINES[name](problem, np.random.default_rng(0))
    return problem


def independent(op_ms: list[float], devices: int) -> tuple[Workload, Machine]:
    count = len(op_ms)
    no_edges = np.empty((0, 2), dtype=np.int64)
    workload = Workload.of("free", ("gpu",), np.array(op_ms)[:, None], no_edges, output_bytes=np.zeros(count))
    return workload, Machine.uniform("gpus", tuple(Device(f"gpu{i}", "gpu") for i in range(devices)), 1.0)


@pytest.mark.parametrize("name", sorted(BASELINES))
@given(small=small_problems(), objective=st.sampled_from(OBJECTIVES))
@settings(max_examples=15, deadline=None)
def test_what_is_kept_is_what_the_simulator_says_of_a_whole_placement(
    name: str, small: tuple[Workload, Machine], objective: str
) -> None:
    workload, machine = small
    assume(np.isfinite(machine.op_ms(workload)).any(axis=1).all())
    problem = solved(name, workload, machine, objective)
    if np.isfinite(problem.best_value):
        priority = problem.best_priority[None] if len(problem.best_priority) else None
        value = evaluate(workload, machine, objective, problem.best[None], priority)[0]
        assert problem.best_value == pytest.approx(value)
        best = evaluate(workload, machine, objective, brute_force(workload, machine)).min()
        ordered = objective in ("sequential", "concurrent")  # another order may need less memory, or be quicker
        assert ordered or problem.best_value >= best - 1e-9


@pytest.mark.parametrize("name", sorted(BASELINES))
@given(small=small_problems(), objective=st.sampled_from(OBJECTIVES))
@settings(max_examples=15, deadline=None)
def test_with_ample_memory_and_a_host_that_runs_all_there_is_a_feasible_placement(
    name: str, small: tuple[Workload, Machine], objective: str
) -> None:
    workload, machine = small
    ms = workload.op_ms.copy()
    ms[:, 0] = np.where(np.isfinite(ms[:, 0]), ms[:, 0], 50.0)
    edges = np.stack([workload.edge_src, workload.edge_dst], axis=1)
    workload = Workload.of(
        "ample", workload.kinds, ms, edges, output_bytes=workload.output_bytes, colocation=workload.colocation
    )
    machine = replace(machine, devices=tuple(replace(device, memory_bytes=np.inf) for device in machine.devices))
    assert np.isfinite(solved(name, workload, machine, objective).best_value)


@pytest.mark.parametrize("name", PLACING)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_training_graphs_fit_where_one_device_does_not_suffice(name: str, family: str) -> None:
    workload = generate(family, 1500, np.random.default_rng(0), training=True).workload([P100])
    slack = 0.25 if name == "expert" else 0.6  # the others do not know of the cut that certainly fits
    machine = tight(box("box", [P100] * 4, PCIE3), workload, slack)
    assert not np.isfinite(solved("single", workload, machine).best_value)
    assert np.isfinite(solved(name, workload, machine).best_value)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_same_seed_same_placement(name: str) -> None:
    workload = generate("inception", 800, np.random.default_rng(0)).workload([P100])
    machine = box("box", [P100] * 4, PCIE3)
    one, other = (solved(name, workload, machine) for _ in range(2))
    assert one.best.tolist() == other.best.tolist()
    assert (one.best_value, one.evaluations) == (other.best_value, other.evaluations)
    assert one.best_priority.tolist() == other.best_priority.tolist()


@given(small=small_problems(), objective=st.sampled_from(OBJECTIVES))
@settings(max_examples=60, deadline=None)
def test_single_is_the_best_of_the_single_devices(small: tuple[Workload, Machine], objective: str) -> None:
    workload, machine = small
    runs_all = np.isfinite(machine.op_ms(workload)).all(axis=0)
    assume(runs_all.any())
    whole = np.repeat(np.flatnonzero(runs_all)[:, None], workload.num_ops, axis=1).astype(np.int32)
    values = evaluate(workload, machine, objective, whole)
    assert solved("single", workload, machine, objective).best_value <= values.min() + 1e-9
    if runs_all.all():
        assert solved("single", workload, machine, objective).best_value == pytest.approx(values.min())


@pytest.mark.parametrize("name", ["critical_path", "m_etf"])
@given(op_ms=st.lists(st.floats(0.1, 10.0), min_size=1, max_size=40), devices=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_independent_ops_are_within_grahams_bound(name: str, op_ms: list[float], devices: int) -> None:
    workload, machine = independent(op_ms, devices)
    optimum = max(sum(op_ms) / devices, max(op_ms))
    longest_first = 4 / 3 - 1 / (3 * devices)  # of the true optimum, which `optimum` is at most
    value = solved(name, workload, machine).best_value
    assert value <= sum(op_ms) / devices + max(op_ms) * (1 - 1 / devices) + 1e-9
    assert longest_first * optimum + max(op_ms) / 3 >= value - 1e-9 or len(op_ms) <= 2 * devices + 1


@given(op_ms=st.lists(st.floats(0.1, 10.0), min_size=1, max_size=40), devices=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_expert_cuts_a_row_of_ops_where_the_largest_part_is_least(op_ms: list[float], devices: int) -> None:
    workload, machine = independent(op_ms, devices)
    least = np.cumsum(op_ms)  # of the first k + 1 ops in one part
    for _ in range(devices - 1):
        sums = np.concatenate([[0.0], np.cumsum(op_ms)])
        least = np.array(
            [
                min([least[end], *(max(least[cut], sums[end + 1] - sums[cut + 1]) for cut in range(end))])
                for end in range(len(op_ms))
            ]
        )
    problem = solved("expert", workload, machine, "pipeline")
    assert problem.best_value == pytest.approx(least[-1])
    assert (np.diff(problem.best) >= 0).all()


def test_round_robin_deals_classes_in_turn() -> None:
    workload, machine = independent([1.0] * 7, 3)
    assert solved("round_robin", workload, machine).best.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_critical_path_keeps_a_chain_together_where_moving_is_dear() -> None:
    count = 30
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    workload = Workload.of("chain", ("gpu",), np.ones((count, 1)), edges, output_bytes=np.full(count, 10.0))
    _, machine = independent([1.0], 3)
    for name in ("critical_path", "m_etf"):
        problem = solved(name, workload, machine)
        assert len(set(problem.best.tolist())) == 1
        assert problem.best_value == pytest.approx(count)


def test_micro_batches_overlap_over_contiguous_parts() -> None:
    layers, shared = 8, 16
    ops = np.arange(layers * shared).reshape(layers, shared)
    edges = np.stack([ops[:-1].ravel(), ops[1:].ravel()], axis=1)
    label = np.repeat(np.arange(layers), shared)
    workload = Workload.of(
        "pipe", ("gpu",), np.ones((ops.size, 1)), edges, output_bytes=np.zeros(ops.size), colocation=label
    )
    _, machine = independent([1.0], 4)
    # four parts of two layers: 32 ms of work each, and the last one waits for the first micro-batch: 6 ms
    assert solved("expert", workload, machine).best_value == pytest.approx(38.0)


def test_metis_cuts_where_few_bytes_pass() -> None:
    rng = np.random.default_rng(0)
    half = 40
    inner = [(a, a + k) for a in range(half) for k in (1, 2, 3) if a + k < half]
    edges = np.array([*inner, *((a + half, b + half) for a, b in inner), (half - 1, half)])
    output = rng.uniform(5.0, 6.0, 2 * half)
    output[half - 1] = 0.01
    workload = Workload.of("two", ("gpu",), np.full((2 * half, 1), 100.0), edges, output_bytes=output)
    _, machine = independent([1.0], 2)
    best = solved("metis", workload, machine, "pipeline").best
    assert best.tolist() == [0] * half + [1] * half


def test_metis_says_how_to_install_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(UsageError, match=r"pip install 'tvm-go\[placement\]'"):
        solved("metis", *independent([1.0] * 4, 2))


@given(small=small_problems(max_ops=8), seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_repaired_splits_are_contiguous(small: tuple[Workload, Machine], seed: int) -> None:
    workload, machine = small
    ms = np.ones((workload.num_classes, machine.num_devices))
    none = np.zeros(workload.num_classes)
    is_host = np.array([device.kind == "cpu" for device in machine.devices])
    home = np.random.default_rng(seed).integers(0, machine.num_devices, workload.num_classes).astype(np.int32)
    device = contiguous(workload, home[workload.colocation], ms, none, machine.memory_bytes, is_host)
    edges = np.stack([workload.edge_src, workload.edge_dst], axis=1)
    free = Workload.of(
        "free",
        workload.kinds,
        np.ones_like(workload.op_ms),
        edges,
        output_bytes=workload.output_bytes,
        colocation=workload.colocation,
    )
    before, after = evaluate(free, machine, "latency", np.stack([home[workload.colocation], device]))
    assert np.isfinite(after)
    if np.isfinite(before) and not workload.num_edges:
        assert device.tolist() == home[workload.colocation].tolist()
