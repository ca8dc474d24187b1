"""Searches on synthetic graphs with a known oracle."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import synthetic
from tvm_go.errors import UsageError
from tvm_go.graph import OpGraph, Pattern
from tvm_go.kernels import Kernel
from tvm_go.legalize import check_partition, legalize
from tvm_go.rules import RULE_SET_NAMES, rule_set
from tvm_go.search import STRATEGIES, Budget, Problem, strategy
from tvm_go.search.exact import candidate_kernels
from tvm_go.search.sites import edge_classes


class CountingOracle:
    """A launch costs 1 ms, reading or writing a value 0.1 ms, an op 0.05 ms; remembers what it was asked."""

    def __init__(self, *, failing_size: int = 10**9) -> None:
        self.asked: list[str] = []
        self.failing_size = failing_size

    def __call__(self, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        self.asked += [key for key, _ in requests]
        return [
            1 + 0.1 * (len(k.inputs) + len(k.outputs)) + 0.05 * len(k.ops) if len(k.ops) < self.failing_size else np.inf
            for _, k in requests
        ]


def problem_of(graph: OpGraph, oracle: CountingOracle, *, kernels: int = 300, rules: str = "wide") -> Problem:
    default = legalize(graph, np.ones(graph.num_edges, dtype=np.int64), rule_set("tvm"))
    problem = Problem(graph, default, rule_set(rules), oracle, Budget(kernels=kernels))
    problem.cost_default()
    return problem


def graph_of(seed: int, num_ops: int = 40) -> OpGraph:
    return synthetic(num_ops, np.random.default_rng(seed), reach=4)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("rules", RULE_SET_NAMES)
def test_best_is_legal_never_worse_than_default_and_within_budget(name: str, rules: str) -> None:
    oracle = CountingOracle()
    problem = problem_of(graph_of(3), oracle, kernels=120, rules=rules)
    strategy(name)(problem, np.random.default_rng(0))
    check_partition(problem.graph, problem.best, rule_set(rules))
    assert problem.best_ms <= problem.default_ms
    assert problem.best_ms == pytest.approx(problem.known_cost(problem.best))
    assert len(oracle.asked) == len(set(oracle.asked)) <= 120


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_same_seed_same_plan_and_a_full_log_changes_nothing(name: str) -> None:
    runs = []
    for _ in range(2):
        problem = problem_of(graph_of(5), CountingOracle(), kernels=80)
        strategy(name)(problem, np.random.default_rng(7))
        runs.append((problem.best.tolist(), problem.best_ms, problem.history))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", ["annealing", "greedy", "random", "exact"])
def test_searches_find_better_plans_than_the_default(name: str) -> None:
    problem = problem_of(graph_of(11, num_ops=20), CountingOracle(), kernels=2000)
    strategy(name)(problem, np.random.default_rng(1))
    assert problem.best_ms < problem.default_ms


@given(st.integers(0, 10**6), st.integers(2, 7))
@settings(max_examples=40, deadline=None)
def test_exact_equals_brute_force_over_all_edge_subsets(seed: int, num_ops: int) -> None:
    graph = graph_of(seed, num_ops)
    problem = problem_of(graph, CountingOracle(), kernels=10**6)
    strategy("exact")(problem, np.random.default_rng(0))
    brute = problem_of(graph, CountingOracle(), kernels=10**6)
    for subset in range(1 << min(graph.num_edges, 9)):
        priority = np.array([subset >> e & 1 for e in range(graph.num_edges)])
        brute.cost([legalize(graph, priority, rule_set("wide"))])
    assert problem.best_ms <= brute.best_ms + 1e-9
    if graph.num_edges <= 9:
        assert problem.best_ms == pytest.approx(brute.best_ms)


def test_exact_gives_up_aloud_when_the_budget_is_too_small(caplog: pytest.LogCaptureFixture) -> None:
    graph = graph_of(2, num_ops=60)
    problem = problem_of(graph, CountingOracle(), kernels=1)
    with caplog.at_level("WARNING"):
        strategy("exact")(problem, np.random.default_rng(0))
    assert "gave up" in caplog.text
    assert np.array_equal(problem.best, problem.default)


def test_candidates_are_legal_kernels() -> None:
    graph = graph_of(4, num_ops=25)
    for rules in (rule_set(name) for name in RULE_SET_NAMES):
        candidates = candidate_kernels(graph, rules, 4)
        assert candidates is not None
        for ops in candidates:
            partition = np.arange(graph.num_ops)
            partition[ops] = ops[0]
            check_partition(graph, np.unique(partition, return_inverse=True)[1].astype(np.int32), rules)


def test_failing_kernels_are_never_chosen() -> None:
    problem = problem_of(graph_of(8), CountingOracle(failing_size=3), kernels=200)
    unfused = np.arange(problem.graph.num_ops, dtype=np.int32)
    problem.cost([unfused])
    strategy("annealing")(problem, np.random.default_rng(0))
    assert np.bincount(problem.best).max() < 3


def test_alike_edges_share_a_class() -> None:
    graph = graph_of(0)
    kernel = np.arange(graph.num_ops, dtype=np.int32)
    classes = edge_classes(graph, kernel)
    for a, b in ((0, 1), (5, 9), (2, 2)):
        alike = classes[a] == classes[b]
        same = (graph.name(graph.edge_src[a]), graph.name(graph.edge_dst[a])) == (
            graph.name(graph.edge_src[b]),
            graph.name(graph.edge_dst[b]),
        )
        assert same or not alike


def test_a_deadline_that_has_passed_stops_measuring() -> None:
    graph = graph_of(1)
    oracle = CountingOracle()
    default = np.arange(graph.num_ops, dtype=np.int32)
    problem = Problem(graph, default, rule_set("wide"), oracle, Budget(kernels=1000, seconds=0))
    problem.cost_default()
    asked = len(oracle.asked)
    strategy("annealing")(problem, np.random.default_rng(0))
    strategy("random")(problem, np.random.default_rng(0))
    assert len(oracle.asked) == asked


def test_unknown_strategy_is_named_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"'magic'; choose from default, unfused"):
        strategy("magic")


def test_annealing_first_joins_pointwise_kernels_where_that_is_quicker() -> None:
    graph = graph_of(5, num_ops=60)
    joined = problem_of(graph, CountingOracle(), rules="open", kernels=10**6)
    heavy = {int(joined.default[op]) for op in np.flatnonzero(graph.pattern > Pattern.INJECTIVE)}
    ends = zip(joined.default[graph.edge_src].tolist(), joined.default[graph.edge_dst].tolist(), strict=True)
    between = [i for i, (one, other) in enumerate(ends) if one != other and not {one, other} & heavy]
    assert between
    expected = joined.merged(joined.default, np.array(between, dtype=np.int32))
    (cost,) = joined.cost([expected])
    assert cost is not None and cost < joined.default_ms
    problem = problem_of(graph, CountingOracle(), rules="open", kernels=joined.spent)
    strategy("annealing")(problem, np.random.default_rng(0))
    assert problem.best_ms <= cost
