"""Annealing of placements: moves, loads and the search as a whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.search.placement.small import brute_force, problem_of, random_case
from tvm_go.search.placement import annealing, local_search
from tvm_go.search.placement._anneal_queues import anneal_queues
from tvm_go.search.placement._anneal_steps import anneal_steps, groups_of
from tvm_go.search.placement._clusters import clusters_of, joined, loads_of, move
from tvm_go.search.placement._order import renumbered
from tvm_go.search.placement._xorshift import seeded, uniform
from tvm_go.simulate import Workload
from tvm_go.simulate.costs import costs_of
from tvm_go.simulate.objectives import default_priority, evaluate
from tvm_go.simulate.split_scores import SplitCosts, latency, throughput

SEEDS = st.integers(0, 10**9)


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_loads_after_many_moves_are_those_counted_afresh(seed: int) -> None:
    rng = np.random.default_rng(seed)
    workload, machine = random_case(rng)
    costs = SplitCosts.of(workload, machine)
    cluster = workload.colocation if seed % 2 else renumbered(workload, workload.colocation)
    clusters = clusters_of(workload, costs, cluster)
    count = len(clusters.op_ms)
    loads = loads_of(clusters, np.zeros(count, dtype=np.int32))
    for _ in range(40):
        one, there = int(rng.integers(count)), int(rng.integers(machine.num_devices))
        if np.isfinite(clusters.op_ms[one, there]):
            move(clusters, loads, one, there)
    fresh = loads_of(clusters, loads.device.copy())
    for kept, counted in zip(loads, fresh, strict=True):
        assert kept == pytest.approx(counted, abs=1e-9)
    value = throughput(workload, machine, loads.device[cluster][None])[0]
    if np.isfinite(value):
        assert value == pytest.approx(loads.load_ms.max())
    else:
        assert (loads.used_bytes > clusters.memory_bytes).any()


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_joining_by_expensive_tensors_loses_no_split_below_the_limit(seed: int) -> None:
    workload, machine = random_case(np.random.default_rng(seed))
    every = brute_force(workload, machine)
    values = throughput(workload, machine, every)
    limit = float(np.quantile(values[np.isfinite(values)], 0.3))
    cluster = joined(workload, SplitCosts.of(workload, machine), limit)
    better = every[values < limit]
    first = np.unique(cluster, return_index=True)[1]
    assert (better == better[:, first][:, cluster]).all()


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_annealed_latency_is_what_the_score_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    workload, machine = random_case(rng)
    groups = groups_of(workload, SplitCosts.of(workload, machine), workload.colocation)
    device = np.zeros(workload.num_classes, dtype=np.int32)
    best = device.copy()
    value = anneal_steps(groups, device, best, np.inf, seeded(rng), 300, 10.0, 0.1)
    assert value == pytest.approx(latency(workload, machine, best[workload.colocation][None])[0])


@given(seed=SEEDS, priorities=st.booleans())
@settings(max_examples=20, deadline=None)
def test_what_queues_are_annealed_to_takes_what_the_simulator_says(seed: int, priorities: bool) -> None:
    rng = np.random.default_rng(seed)
    workload, machine = random_case(rng)
    costs = costs_of(workload, machine)
    priority = rng.random(workload.num_ops) if priorities else default_priority(costs, "concurrent")
    home = np.zeros(workload.num_classes, dtype=np.int32)
    best = home.copy()
    arguments = costs, priority, home, np.inf, best, np.inf, seeded(rng), 300, 0.1
    for found, value in zip((home, best), anneal_queues(*arguments), strict=True):
        placement = found[workload.colocation][None]
        assert value == pytest.approx(evaluate(workload, machine, "concurrent", placement, priority[None])[0])


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_clusters_are_renumbered_in_topological_order(seed: int) -> None:
    workload, _ = random_case(np.random.default_rng(seed))
    place = renumbered(workload, np.arange(workload.num_ops, dtype=np.int32))
    assert sorted(place.tolist()) == list(range(workload.num_ops))
    assert (place[workload.edge_src] < place[workload.edge_dst]).all()
    classes = renumbered(workload, workload.colocation)  # may read from one another in a circle
    pairs = np.unique(np.stack([workload.colocation, classes]), axis=1)
    assert sorted(pairs[0].tolist()) == sorted(pairs[1].tolist()) == list(range(workload.num_classes))


def test_random_numbers_of_compiled_loops_are_even() -> None:
    state = seeded(np.random.default_rng(0))
    drawn = np.array([uniform(state) for _ in range(20_000)])
    assert drawn.min() >= 0 and drawn.max() < 1
    assert np.bincount((drawn * 10).astype(int)) == pytest.approx(np.full(10, 2000), abs=200)


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_best_of_small_graphs_is_found(objective: str) -> None:
    for seed in range(6):
        workload, machine = random_case(np.random.default_rng(seed))
        problem = problem_of(workload, machine, objective, evaluations=20_000)
        annealing.search(problem, np.random.default_rng(seed))
        score = throughput if objective == "throughput" else latency
        assert problem.best_value == pytest.approx(score(workload, machine, brute_force(workload, machine)).min())


@pytest.mark.parametrize("objective", ["throughput", "latency", "sequential"])
def test_same_seed_same_placement_within_the_budget(objective: str) -> None:
    workload, machine = random_case(np.random.default_rng(3))
    runs = []
    for _ in range(2):
        problem = problem_of(workload, machine, objective, evaluations=3000)
        annealing.search(problem, np.random.default_rng(5))
        assert 2900 <= problem.evaluations <= 3000
        runs.append((problem.best.tolist(), problem.best_value, problem.evaluations))
    assert runs[0] == runs[1]


def test_a_graph_that_takes_no_time_is_left_alone() -> None:
    _, machine = random_case(np.random.default_rng(0))
    for count in (0, 3):
        workload = Workload.of(
            "idle",
            ("cpu", "accelerator"),
            np.zeros((count, 2)),
            np.empty((0, 2), dtype=np.int64),
            output_bytes=np.zeros(count),
        )
        for search in (annealing.search, local_search.search):
            problem = problem_of(workload, machine, "throughput", evaluations=10**9)
            search(problem, np.random.default_rng(0))
            assert problem.best_value == 0
