"""Steepest descent on placements."""

import numpy as np
import pytest

from tests.tvm_go.search.placement.small import brute_force, problem_of, random_case
from tvm_go.search.placement import local_search
from tvm_go.search.placement._anneal_loads import energy_ms
from tvm_go.search.placement._clusters import clusters_of, loads_of, move
from tvm_go.search.placement._descend_loads import descend
from tvm_go.simulate.split_scores import SplitCosts, throughput


def test_where_a_descent_ends_no_move_helps() -> None:
    for seed in range(20):
        workload, machine = random_case(np.random.default_rng(seed))
        clusters = clusters_of(workload, SplitCosts.of(workload, machine), workload.colocation)
        loads = loads_of(clusters, np.zeros(workload.num_classes, dtype=np.int32))
        before_ms = energy_ms(loads, clusters.memory_bytes)[0]
        _, finished = descend(clusters, loads, 10**6)
        assert finished
        least_ms = energy_ms(loads, clusters.memory_bytes)[0]
        assert least_ms <= before_ms
        for one in range(workload.num_classes):
            for there in np.flatnonzero(np.isfinite(clusters.op_ms[one])).tolist():
                here = int(loads.device[one])
                move(clusters, loads, one, there)
                assert energy_ms(loads, clusters.memory_bytes)[0] >= least_ms * (1 - 1e-8)
                move(clusters, loads, one, here)


def test_best_of_small_graphs_is_found() -> None:
    for seed in range(6):
        workload, machine = random_case(np.random.default_rng(seed))
        problem = problem_of(workload, machine, "throughput", evaluations=3000)
        local_search.search(problem, np.random.default_rng(seed))
        least = throughput(workload, machine, brute_force(workload, machine)).min()
        assert problem.best_value == pytest.approx(least)


@pytest.mark.parametrize("objective", ["throughput", "latency", "sequential"])
def test_same_seed_same_placement_and_the_budget_ends_it(objective: str) -> None:
    workload, machine = random_case(np.random.default_rng(3), most_ops=12)
    runs = []
    for _ in range(2):
        problem = problem_of(workload, machine, objective, evaluations=2000)
        local_search.search(problem, np.random.default_rng(5))
        assert problem.exhausted
        assert np.isfinite(problem.best_value)
        runs.append((problem.best.tolist(), problem.best_value, problem.evaluations))
    assert runs[0] == runs[1]
