"""Forms of ops: who has which, which layout follows from them, and what it takes to change layouts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.simulate.planned import planned_graph, random_plan
from tests.tvm_go.simulate.slow_plans import layouts
from tvm_go.graph import ValueKind
from tvm_go.simulate.forms import FORMS, forms_of, layouts_of

NAMES = [form.name for form in FORMS]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_ops_have_the_forms_of_their_kind(seed: int) -> None:
    graph = planned_graph(seed, 40).graph
    expected = {
        "nn.dense": {"usual", "packed weight"},
        "nn.batch_matmul": {"usual", "packed weight", "transposed weight"},
    }
    for op, row in enumerate(forms_of(graph)):
        kind = expected.get(graph.name(op), {"usual"})
        if graph.name(op) == "nn.conv2d":
            one_by_one = json.loads(graph.attr_texts[graph.op_attrs[op]])["strides"] == [1, 1]
            kind = {"usual", "channels last", *(["Winograd 2", "Winograd 4"] if one_by_one else [])}
        assert {name for name, has in zip(NAMES, row, strict=True) if has} == kind


def test_without_a_constant_weight_only_the_layout_of_a_convolution_can_change() -> None:
    graph = planned_graph(1, 40).graph
    kind = np.where(graph.value_kind == ValueKind.CONSTANT, ValueKind.INPUT, graph.value_kind)
    has = forms_of(replace(graph, value_kind=kind.astype(np.int8)))
    assert has[:, NAMES.index("channels last")].any()
    assert not has[:, 2:].any()


@given(seed=st.integers(0, 10**6), num_ops=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_layouts_are_those_of_plain_python(seed: int, num_ops: int) -> None:
    planned = planned_graph(seed, num_ops)
    plan = random_plan(planned, np.random.default_rng(seed))
    assert layouts_of(planned.view.forms, plan.form).tolist() == layouts(planned, plan)


def test_a_kernel_in_another_form_takes_its_arithmetic_and_traffic_at_the_reach_of_the_device() -> None:
    planned = planned_graph(4, 40, 2)
    graph, form = planned.graph, NAMES.index("Winograd 2")
    op = int(np.flatnonzero(forms_of(graph)[:, form])[0])
    apart = np.arange(planned.num_ops, dtype=np.int32)
    usual = np.zeros(planned.num_ops, dtype=np.int32)
    changed = usual.copy()
    changed[op] = form
    before, after = (planned.kernel_ms(forms, apart) for forms in (usual, changed))
    image, weight = graph.value_bytes[graph.use_value[graph.use_start[op] : graph.use_start[op + 1]]]
    made = graph.value_bytes[graph.op_first_value[op]]
    view = planned.view
    expected = np.maximum(graph.flops[op] * 16 / 36 / view.flops_per_ms,
                          (image * 4 + weight * 16 / 9 + made) / view.roofline_bytes_per_ms)  # fmt: skip
    reach = planned.reach[:, form]
    assert after[op] == pytest.approx(expected / reach + view.launch_ms)
    others = apart != op
    assert np.array_equal(before[others], after[others])


def test_convolutions_of_one_layout_in_a_row_need_changes_at_the_ends_of_the_graph_only() -> None:
    """As TVM's AlterOpLayout carries a layout through the ops between convolutions."""
    planned = planned_graph(0, 40)
    graph = planned.graph
    last = np.where(forms_of(graph)[:, 1], 1, 0).astype(np.int32)
    layout = layouts_of(planned.view.forms, last)
    crossing = planned.changed_edges(last)
    either = planned.view.forms.changes
    unlike = layout[graph.edge_src] != layout[graph.edge_dst]
    own = either[graph.edge_src] | either[graph.edge_dst]
    assert np.array_equal(crossing, unlike & ~own)
    assert crossing.any() and ((layout[graph.edge_src] == 1) & ~crossing).any()
    assert not planned.changed_edges(np.zeros_like(last)).any()
