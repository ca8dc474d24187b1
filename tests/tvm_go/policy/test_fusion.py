"""Decisions to fuse: whatever a policy decides is a legal plan, and any plan can be told to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import synthetic
from tests.tvm_go.learn.fusing import default_of, fusing_policy
from tests.tvm_go.policy.drawn import SMALL, generator, random_input
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.graph import OpGraph
from tvm_go.legalize import check_partition
from tvm_go.policy import GraphInput, Policy, PolicyConfig
from tvm_go.policy.edge_choices import EdgeChoices
from tvm_go.policy.inputs import OP_TYPES
from tvm_go.policy.kernel_graph import kernel_graph, op_types
from tvm_go.rules import RULE_SET_NAMES, rule_set


def graph_of(seed: int, num_ops: int = 30) -> OpGraph:
    return synthetic(num_ops, np.random.default_rng(seed), reach=4)


def described(graph: OpGraph, rules: str = "open") -> tuple[GraphInput, EdgeChoices]:
    found = kernel_graph(graph, default_of(graph), rule_set(rules))
    assert found.choices is not None
    return found, found.choices


@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from(RULE_SET_NAMES))
@settings(max_examples=30, deadline=None)
def test_any_sample_is_a_legal_plan(seed: int, num_ops: int, rules: str) -> None:
    graph = graph_of(seed, num_ops)
    found, choices = described(graph, rules)
    actions = fusing_policy(seed).act(found, 3, generator(seed))
    assert actions.drawn["fusion"].shape == (3, 1, choices.num_units)
    for merges in actions.drawn["fusion"][:, -1].numpy():
        check_partition(graph, choices.partition(graph, merges, rule_set(rules)), rule_set(rules))


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_the_default_plan_is_what_its_own_decisions_give(seed: int, num_ops: int) -> None:
    graph = graph_of(seed, num_ops)
    _, choices = described(graph)
    default = default_of(graph)
    assert np.array_equal(choices.merges(graph, default), choices.merges_by_default)
    assert np.array_equal(
        choices.partition(graph, choices.merges_by_default.astype(np.int64), rule_set("open")), default
    )


def test_an_edge_is_a_choice_where_some_legal_plan_merges_it() -> None:
    graph = graph_of(3)
    _, choices = described(graph)
    everything = choices.partition(graph, np.ones(choices.num_units, dtype=np.int64), rule_set("open"))
    inside = np.flatnonzero(everything[graph.edge_src] == everything[graph.edge_dst])
    assert len(inside)
    assert set(inside.tolist()) <= set(choices.edge.tolist())


def test_alike_edges_are_decided_together() -> None:
    graph = graph_of(5, 60)
    _, choices = described(graph)
    assert choices.num_units < len(choices.edge)
    first = np.unique(choices.unit, return_index=True)[1]
    assert np.array_equal(np.sort(first), first)
    kernel = default_of(graph)
    ends = np.stack([graph.op_name[choices.source], graph.op_name[choices.reader]], axis=1)
    inside = kernel[choices.source] == kernel[choices.reader]
    for unit in range(choices.num_units):
        members = choices.unit == unit
        assert len(np.unique(ends[members], axis=0)) == 1
        assert (inside[members] == choices.merges_by_default[unit]).all()


def test_before_it_learns_a_policy_mostly_does_what_fuseops_does() -> None:
    found, choices = described(graph_of(7, 60))
    drawn = fusing_policy().act(found, 200, generator()).drawn["fusion"][:, -1].numpy()
    assert 0.7 < (drawn == choices.merges_by_default).mean() < 0.97


@pytest.mark.parametrize("rounds", [1, 2])
def test_act_and_score_agree_and_gradients_reach_every_parameter(rounds: int) -> None:
    policy = fusing_policy(rounds=rounds)
    graphs = [described(graph_of(seed, 20 + seed))[0] for seed in (1, 2)]
    actions = policy.act_on(graphs, 4, generator())
    total = torch.zeros(())
    for score, action in zip(policy.score_on(graphs, actions), actions, strict=True):
        assert torch.allclose(score.log_prob, action.log_prob, atol=1e-4)
        assert torch.allclose(score.log_prob_per_class, action.log_prob_per_class, atol=1e-4)
        total = total + score.log_prob.sum() + score.entropy.sum() + score.value.sum()
    total.backward()
    assert not [name for name, weight in policy.named_parameters() if weight.grad is None or not weight.grad.any()]


def test_graphs_together_decide_as_each_alone() -> None:
    policy = fusing_policy()
    graphs = [described(graph_of(seed, 10 * seed))[0] for seed in (1, 3, 4)]
    together = policy.act_on(graphs, 1, generator(), greedy=True)
    for graph, actions in zip(graphs, together, strict=True):
        alone = policy.act(graph, 1, generator(), greedy=True)
        assert torch.equal(actions.drawn["fusion"], alone.drawn["fusion"])
        assert torch.allclose(actions.log_prob, alone.log_prob, atol=1e-4)


def test_names_of_operators_fall_into_buckets_and_those_that_are_not_known_into_none() -> None:
    graph = graph_of(1)
    types = op_types(graph)
    assert types.min() >= 1 and types.max() < OP_TYPES
    assert len(np.unique(types)) == len({graph.name(op) for op in range(graph.num_ops)})
    assert types.tolist() == op_types(graph, graph.op_names).tolist()
    new = graph.name(0)
    told = op_types(graph, set(graph.op_names) - {new})
    assert all((told[op] == 0) == (graph.name(op) == new) for op in range(graph.num_ops))


def test_what_is_expected_of_other_decisions_is_told_and_can_be_left_out() -> None:
    _, choices = described(graph_of(2))
    gains = np.linspace(-2, 0.5, choices.num_units)
    gains[0] = -np.inf
    told = choices.with_gains(gains)
    assert np.isfinite(told.unit_features).all()
    assert (np.diff(told.unit_features[1:, -2]) > 0).all()
    assert told.unit_features[0, -2] == pytest.approx(-np.log1p(100))
    assert np.array_equal(told.without_gains.unit_features, choices.unit_features)
    assert not choices.unit_features[:, -3:].any()


def test_numbers_that_describe_a_graph_are_finite_and_small() -> None:
    found, choices = described(graph_of(9, 80))
    for table in (found.op_features, found.graph_features, choices.unit_features):
        assert np.isfinite(table).all()
        assert np.abs(table).max() < 6


def test_graphs_that_were_described_for_other_tasks_are_refused() -> None:
    with pytest.raises(UsageError, match=r"sees \d+ features of an op and a graph has \d+"):
        fusing_policy().act(random_input(1), 1, generator())
    with pytest.raises(UsageError, match=r"sees \d+ features of an op and a graph has \d+"):
        Policy(SMALL).act(described(graph_of(1))[0], 1, generator())


def test_an_empty_graph_is_named() -> None:
    empty = synthetic(0, np.random.default_rng(0))
    with pytest.raises(UnsupportedModelError, match="the graph is empty"):
        kernel_graph(empty, np.empty(0, dtype=np.int32), rule_set("open"))


def test_policies_without_the_task_are_as_they_were() -> None:
    assert not [name for name, _ in Policy(SMALL).named_parameters() if "fusion" in name]
    assert PolicyConfig(tasks=("placement",)).op_features != PolicyConfig(tasks=("fusion",)).op_features
