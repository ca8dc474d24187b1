"""What the policy sees of forms is what happens when ops take them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.simulate.planned import planned_graph, random_plan
from tests.tvm_go.simulate.slow_plans import slow_changes_ms
from tvm_go.errors import UsageError
from tvm_go.policy import Policy, PolicyConfig
from tvm_go.policy.form_choices import form_choices, form_units
from tvm_go.policy.kernel_graph import kernel_graph
from tvm_go.simulate.forms import FORMS, forms_of

ARITHMETIC, OF_PRESENT, LAST, PRODUCERS, READERS, CHANGES = 0, 5, 9, 10, 11, 12


@given(seed=st.integers(0, 10**6), num_ops=st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_a_form_is_told_with_what_its_layout_changes_take_more_or_less(seed: int, num_ops: int) -> None:
    planned = planned_graph(seed, num_ops)
    plan = random_plan(planned, np.random.default_rng(seed))
    op = form_units(planned)
    choices = form_choices(planned, plan, op, np.arange(planned.num_ops, dtype=np.int32), 2.0)
    assert np.isfinite(choices.features).all()
    told = np.sign(choices.features[..., CHANGES]) * np.expm1(np.abs(5 * choices.features[..., CHANGES].astype(float)))
    now_ms = slow_changes_ms(planned, plan)
    for unit, one in enumerate(op):
        for number in range(len(FORMS)):
            form = plan.form.copy()
            form[one] = number
            more_ms = slow_changes_ms(planned, plan._replace(form=form)) - now_ms
            assert told[unit, number] == pytest.approx(1e3 * more_ms / 2.0, rel=1e-4, abs=1e-4)


def test_a_form_is_told_with_its_arithmetic_and_its_time_on_the_ops_device() -> None:
    planned = planned_graph(3, 40)
    plan = random_plan(planned, np.random.default_rng(3))
    op = form_units(planned)
    choices = form_choices(planned, plan, op, np.arange(planned.num_ops, dtype=np.int32), 1.0)
    apart = np.arange(planned.num_ops, dtype=np.int32)
    assert np.array_equal(choices.has, forms_of(planned.graph)[op])
    assert np.exp(2 * choices.features[..., ARITHMETIC]) == pytest.approx(
        np.tile([form.arithmetic for form in FORMS], (len(op), 1))
    )

    def own_ms(form: np.ndarray) -> np.ndarray:
        here = plan.device[op]
        return planned.kernel_ms(form, apart)[op, here] - planned.view.launch_ms[here]

    for number in range(len(FORMS)):
        form = plan.form.copy()
        form[op] = number
        expected = own_ms(form) / own_ms(plan.form)
        assert np.exp(2 * choices.features[:, number, OF_PRESENT]) == pytest.approx(expected, rel=1e-4)


def test_where_all_is_in_the_usual_layout_that_is_what_producers_and_readers_want() -> None:
    planned = planned_graph(6, 40)
    plan = random_plan(planned, np.random.default_rng(0), usual=True)
    kept = ~planned.view.forms.changes
    op = form_units(planned)
    near_changes = np.isin(op, planned.graph.edge_src[~kept[planned.graph.edge_dst]])
    choices = form_choices(planned, plan, op, np.arange(planned.num_ops, dtype=np.int32), 1.0)
    first = choices.features[~near_changes]
    assert (first[:, 0, READERS] >= 0.5).all() and (first[:, 1, READERS] <= 0.5).all()
    assert choices.features[:, 0, PRODUCERS] + choices.features[:, 1, PRODUCERS] == pytest.approx(1)
    assert choices.features[0, :, LAST].tolist() == [form.layout for form in FORMS]


def test_a_policy_that_chooses_forms_asks_for_graphs_that_come_with_them() -> None:
    planned = planned_graph(1)
    policy = Policy(PolicyConfig(tasks=("variant", "fusion"), width=16, heads=2, rounds=2))
    graph = kernel_graph(planned.graph, planned.default, planned.rules)
    with pytest.raises(UsageError, match="describe it by `plan_input`"):
        policy.act(graph, 2, torch.Generator())
