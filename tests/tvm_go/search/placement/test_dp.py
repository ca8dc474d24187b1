"""Dynamic programs over contiguous splits, against brute force."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.tvm_go.search.placement.small import brute_force, problem_of, random_case
from tvm_go.errors import UsageError
from tvm_go.graph import Int32
from tvm_go.search.placement import dp
from tvm_go.search.placement._clusters import clusters_of
from tvm_go.search.placement._ideals import ideals_of
from tvm_go.simulate import Workload
from tvm_go.simulate.split_scores import SplitCosts, throughput


def is_chain_of_sets(workload: Workload, device: Int32) -> bool:
    """Whether the devices can be ordered so that every tensor stays or goes to a later one."""
    pairs = {(int(a), int(b)) for a, b in zip(device[workload.edge_src], device[workload.edge_dst], strict=True)}
    left = {int(d) for d in device}
    while left:
        free = [d for d in left if not any(b == d and a != d and a in left for a, b in pairs)]
        if not free:
            return False
        left.remove(free[0])
    return True


@given(seed=st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_no_contiguous_split_is_better(seed: int) -> None:
    workload, machine = random_case(np.random.default_rng(seed))
    assume(workload.num_classes == workload.num_ops)
    problem = problem_of(workload, machine, "throughput", evaluations=10**9)
    dp.search(problem, np.random.default_rng(0))
    every = brute_force(workload, machine)
    values = throughput(workload, machine, every)
    fold = zip(workload.edge_src.tolist(), workload.edge_dst.tolist(), strict=True)
    folded = [(a, b) for a, b in fold if workload.op_ms[a].sum() == 0 and not (workload.edge_dst == a).any()]
    assume(not folded)  # weights go with their reader, which costs something where memory is short
    contiguous = [value for row, value in zip(every, values, strict=True) if is_chain_of_sets(workload, row)]
    assert problem.best_value <= min(contiguous) + 1e-9
    assert problem.best_value >= values.min() - 1e-9


def test_ideals_of_a_diamond_are_listed_smaller_ones_first() -> None:
    workload = Workload.of(
        "diamond",
        ("cpu", "accelerator"),
        np.ones((4, 2)),
        np.array([[0, 1], [0, 2], [1, 3], [2, 3]]),
        output_bytes=np.ones(4),
    )
    _, machine = random_case(np.random.default_rng(0))
    listed = ideals_of(clusters_of(workload, SplitCosts.of(workload, machine), workload.colocation), 100)
    assert listed is not None
    ideals, members = listed
    assert members == [0b0, 0b1, 0b11, 0b101, 0b111, 0b1111]
    arcs = [(int(a), int(b)) for a, b in zip(ideals.without, ideals.taken, strict=True)]
    assert arcs == [(0, 0), (1, 1), (1, 2), (2, 2), (3, 1), (4, 3)]
    assert ideals_of(clusters_of(workload, SplitCosts.of(workload, machine), workload.colocation), 5) is None


def test_a_chain_on_two_accelerators_is_cut_where_its_tensor_is_small() -> None:
    workload = Workload.of(
        "chain",
        ("cpu", "accelerator"),
        np.array([[100.0, 3.0]] * 4),
        np.array([[0, 1], [1, 2], [2, 3]]),
        output_bytes=np.array([0.5, 2.5, 9.0, 0.0]),
    )
    _, machine = random_case(np.random.default_rng(0))
    problem = problem_of(workload, machine, "throughput", evaluations=1000)
    dp.search(problem, np.random.default_rng(0))
    assert problem.best_value == pytest.approx(6 + 2.5)
    device = problem.best.tolist()
    assert device[0] == device[1] != device[2] == device[3]


def test_runs_serve_latency_and_other_objectives_are_refused() -> None:
    workload, machine = random_case(np.random.default_rng(1))
    problem = problem_of(workload, machine, "latency", evaluations=1000)
    dp.search(problem, np.random.default_rng(0))
    assert np.isfinite(problem.best_value)
    with pytest.raises(UsageError, match="not 'pipeline'"):
        dp.search(problem_of(workload, machine, "pipeline", evaluations=10), np.random.default_rng(0))
