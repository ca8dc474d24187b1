"""The legaliser: whatever the decisions, the plan is legal; legal plans decode to themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import synthetic
from tvm_go.errors import PlanError
from tvm_go.graph import OpGraph, Pattern
from tvm_go.legalize import check_partition, encode, execution_order, legalize, partition_breach, te_takes
from tvm_go.merge import merge_in_order
from tvm_go.rules import RULE_SET_NAMES, Breach, Rules, rule_set
from tvm_go.split import split_by_outputs

rules_names = st.sampled_from(RULE_SET_NAMES)


@st.composite
def graphs(draw: st.DrawFn, max_ops: int = 60) -> OpGraph:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_ops = draw(st.integers(1, max_ops))
    return synthetic(num_ops, rng, reach=draw(st.integers(1, 8)), far=draw(st.sampled_from([0.0, 0.1, 0.5])))


def random_priorities(graph: OpGraph, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-2, rng.integers(1, 9), size=graph.num_edges)


@given(graphs(), st.integers(0, 2**32 - 1), rules_names)
@settings(max_examples=300, deadline=None)
def test_any_priorities_give_a_legal_plan_and_it_decodes_to_itself(graph: OpGraph, seed: int, name: str) -> None:
    rules = rule_set(name)
    kernel = legalize(graph, random_priorities(graph, seed), rules)
    check_partition(graph, kernel, rules)
    assert np.array_equal(legalize(graph, encode(graph, kernel), rules), kernel)


@given(graphs(max_ops=30), st.integers(0, 2**32 - 1), rules_names)
@settings(max_examples=200, deadline=None)
def test_kernels_are_numbered_in_an_order_that_runs(graph: OpGraph, seed: int, name: str) -> None:
    kernel = legalize(graph, random_priorities(graph, seed), rule_set(name))
    assert np.all(kernel[graph.edge_src] <= kernel[graph.edge_dst])
    assert sorted(set(kernel.tolist())) == list(range(kernel.max() + 1))


@given(graphs(max_ops=40), st.integers(0, 2**32 - 1), st.sampled_from(["wide", "open"]))
@settings(max_examples=200, deadline=None)
def test_merging_takes_the_first_edge_whenever_it_is_legal_alone(graph: OpGraph, seed: int, name: str) -> None:
    rules = rule_set(name)
    edges = np.random.default_rng(seed).permutation(graph.num_edges).astype(np.int32)
    if not graph.num_edges:
        return
    alone = merge_in_order(graph, edges[:1], rules)
    among_others = merge_in_order(graph, edges, rules)
    a, b = graph.edge_src[edges[0]], graph.edge_dst[edges[0]]
    assert alone[a] != alone[b] or among_others[a] == among_others[b]


@given(graphs(max_ops=40), st.integers(0, 2**32 - 1), rules_names)
@settings(max_examples=200, deadline=None)
def test_splitting_leaves_legal_partitions_whole_and_mends_all_others(graph: OpGraph, seed: int, name: str) -> None:
    rules = rule_set(name)
    edges = np.random.default_rng(seed).permutation(graph.num_edges).astype(np.int32)
    split = split_by_outputs(graph, merge_in_order(graph, edges, rules), rules)
    assert partition_breach(graph, split, rules) == (Breach.NONE, -1)
    assert np.array_equal(renumbered(split_by_outputs(graph, split, rules)), renumbered(split))


@given(graphs(max_ops=25), st.integers(0, 2**32 - 1), st.sampled_from(["wide", "open"]))
@settings(max_examples=200, deadline=None)
def test_wide_merging_equals_the_definition_tried_edge_by_edge(graph: OpGraph, seed: int, name: str) -> None:
    """The reference merges one edge at a time and asks of the whole partition whether it is still legal."""
    rules = rule_set(name)
    priority = random_priorities(graph, seed)
    kernel = legalize(graph, priority, rules)
    wanted = sorted(np.flatnonzero(priority > 0), key=lambda edge: (-priority[edge], edge))
    group = np.arange(graph.num_ops, dtype=np.int32)
    as_a_whole = group.copy()
    for edge in wanted:
        a, b = group[graph.edge_src[edge]], group[graph.edge_dst[edge]]
        union = renumbered(np.where(group == b, a, group))
        if partition_breach(graph, union, rules)[0] in (Breach.NONE, Breach.OUTPUTS):  # outputs are split at the end
            group = union
        a, b = as_a_whole[graph.edge_src[edge]], as_a_whole[graph.edge_dst[edge]]
        as_a_whole = np.where(as_a_whole == b, a, as_a_whole)
    if partition_breach(graph, renumbered(as_a_whole), rules)[0] == Breach.NONE:
        group = renumbered(as_a_whole)
    assert np.array_equal(execution_order(graph, split_by_outputs(graph, group, rules)), kernel)


@given(graphs(), st.integers(0, 2**32 - 1), rules_names)
@settings(max_examples=200, deadline=None)
def test_what_another_rule_set_allows_open_allows(graph: OpGraph, seed: int, name: str) -> None:
    kernel = legalize(graph, random_priorities(graph, seed), rule_set(name))
    check_partition(graph, kernel, rule_set("open"))


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_te_takes_the_kernels_of_wide_and_none_with_two_anchors(graph: OpGraph, seed: int) -> None:
    priority = random_priorities(graph, seed)
    for ops in kernels(legalize(graph, priority, rule_set("wide"))):
        assert te_takes(graph, ops)
    for ops in kernels(legalize(graph, priority, rule_set("open"))):
        anchors = int(np.sum(graph.pattern[ops] >= Pattern.REDUCTION))
        assert anchors <= rule_set("open").max_anchors
        assert anchors < 2 or not te_takes(graph, ops)


def test_open_kernels_hold_several_reductions_up_to_a_limit_and_no_opaque_op() -> None:
    anchors, opaque = [], []
    for seed in range(20):
        graph = synthetic(100, np.random.default_rng(seed), reach=1, far=0.0)
        for ops in kernels(legalize(graph, np.ones(graph.num_edges, dtype=np.int64), rule_set("open"))):
            anchors.append(int(np.sum(graph.pattern[ops] >= Pattern.REDUCTION)))
            opaque += [len(ops)] if np.any(graph.pattern[ops] >= Pattern.OPAQUE) else []
    assert max(anchors) == rule_set("open").max_anchors
    assert set(opaque) == {1}


def kernels(kernel: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(kernel == number).tolist() for number in range(kernel.max() + 1)]


def renumbered(group: np.ndarray) -> np.ndarray:
    return np.unique(group, return_inverse=True)[1].astype(np.int32)


def test_size_limit_holds() -> None:
    graph = synthetic(500, np.random.default_rng(0), reach=1, far=0.0)
    rules = Rules("wide", wide=True, max_ops=3)
    kernel = legalize(graph, np.ones(graph.num_edges, dtype=np.int64), rules)
    assert np.bincount(kernel).max() == 3


def test_cycles_between_kernels_are_refused_and_named() -> None:
    graph = chain_with_bypass()
    with pytest.raises(PlanError, match="depends on itself"):
        check_partition(graph, np.array([0, 1, 0], dtype=np.int32), rule_set("wide"))
    with pytest.raises(PlanError, match="cycle"):
        execution_order(graph, np.array([0, 1, 0], dtype=np.int32))
    kernel = legalize(graph, np.array([0, 5, 0]), rule_set("wide"))
    assert kernel.tolist() == [0, 1, 2]


def chain_with_bypass() -> OpGraph:
    """Op 0 feeds op 1 and op 2, op 1 feeds op 2; all elementwise."""
    base = synthetic(3, np.random.default_rng(0))
    fields = dict(base.__dict__)
    for name in list(fields):
        if name not in OpGraph.__dataclass_fields__:
            del fields[name]
    fields.update(
        op_name=np.array([0, 0, 1], dtype=np.int32),
        pattern=np.array([0, 0, 1], dtype=np.int8),
        use_value=np.array([0, 1, 1, 2], dtype=np.int32),
        use_op=np.array([0, 1, 2, 2], dtype=np.int32),
        use_arg=np.array([0, 0, 0, 1], dtype=np.int32),
        use_field=np.full(4, -1, dtype=np.int32),
        output_values=np.array([3], dtype=np.int32),
        shape_dims=np.tile(np.array([8, 16]), 4),
    )
    return OpGraph(**fields)


def test_wrong_number_of_priorities_is_refused() -> None:
    graph = chain_with_bypass()
    with pytest.raises(PlanError, match="2 merge priorities for a graph of 3 edges"):
        legalize(graph, np.ones(2, dtype=np.int64), rule_set("wide"))
