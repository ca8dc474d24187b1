"""Comparing policies of several tasks with those of one: all that is said of a few small cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ablate_plans
from benchmarks.joint_graphs import FAMILIES, Graph, batched, together
from benchmarks.joint_tables import COLUMNS, Row, plot, speed_ups, tables
from benchmarks.joint_tasks import FOLDS, Effort, draw_cases, planned_by, rows_of
from tests.tvm_go.simulate.planned import planned_graph
from tvm_go.graph import ValueKind
from tvm_go.kernels import kernel_keys
from tvm_go.simulate.plans import PlannedGraph

EFFORT = Effort(train_cases=3, test_cases=1, evaluations=64, steps=3, budgets=(8, 24))


def graph(seed: int) -> Graph:
    planned = planned_graph(seed, 20)
    return Graph(f"graph {seed}", planned.graph, planned.default)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(rows_of(0, [graph(1), graph(2)], [graph(3)], EFFORT))


def test_all_ways_begin_with_the_default_and_more_evaluations_are_no_worse(rows: list[Row]) -> None:
    (row,) = rows
    assert set(row.ms) == set(COLUMNS)
    assert all(len(ms) == 2 and ms[0] <= row.default_ms for ms in row.ms.values())
    together = row.ms["together"]
    assert together[1] <= together[0]  # one stage: the same moves first
    assert row.quick_ms <= row.default_ms
    assert set(row.without_ms) == {"variant", "placement", "fusion", "schedule"}
    assert speed_ups(rows, "together", 1)[0] == pytest.approx(row.default_ms / together[1])


def test_the_same_seed_gives_the_same_rows(rows: list[Row]) -> None:
    assert list(rows_of(0, [graph(1), graph(2)], [graph(3)], EFFORT)) == rows


def test_a_task_in_which_nothing_is_to_decide_leaves_its_evaluations_to_the_others() -> None:
    one = graph(3)
    names = tuple(name if name in ("add", "nn.relu") else "custom" for name in one.graph.op_names)
    (case,) = draw_cases([one._replace(graph=replace(one.graph, op_names=names))], 1, np.random.default_rng(0))
    problems = [
        planned_by(case, stages, 12, 0, in_turns=False)
        for stages in ([("variant",), ("placement",), ("fusion",)], [("placement",), ("fusion",)])
    ]
    assert problems[0].evaluations == 12
    assert problems[0].history == problems[1].history


def test_tables_and_plot_are_made_of_all_rows(rows: list[Row], tmp_path: Path) -> None:
    means, by_model, worth = tables(rows, EFFORT.budgets)
    assert (means.row_count, by_model.row_count, worth.row_count) == (2, 1, 4)
    plot(tmp_path / "images" / "joint.png", rows, EFFORT.budgets)
    assert (tmp_path / "images" / "joint.png").read_bytes().startswith(b"\x89PNG")


def test_each_family_is_left_out_once() -> None:
    assert sorted(family for fold in FOLDS for family in fold) == sorted(FAMILIES)


def test_a_batch_makes_activations_and_arithmetic_larger_and_no_weights() -> None:
    one = graph(1)
    more = batched(one, 4)
    constant = one.graph.value_kind == ValueKind.CONSTANT
    assert np.array_equal(more.graph.flops, 4 * one.graph.flops)
    assert np.array_equal(more.graph.value_bytes, np.where(constant, 1, 4) * one.graph.value_bytes)


def test_two_models_on_one_device_take_the_sum_of_their_times_and_keep_their_kernels() -> None:
    one, other = graph(1), graph(2)
    both = together(one, other)
    alone = planned_graph(1, 20)

    def planned(of: Graph) -> PlannedGraph:
        return replace(alone, graph=of.graph, default=of.default)

    default = [planned(of).default_plan(np.zeros(of.graph.num_ops, dtype=np.int64), 0) for of in (one, other, both)]
    ms = [planned(of).milliseconds(plan) for of, plan in zip((one, other, both), default, strict=True)]
    assert ms[2] == pytest.approx(ms[0] + ms[1])
    keys = [kernel_keys(of.graph, of.default) for of in (one, other, both)]
    assert sorted(keys[2]) == sorted(keys[0] + keys[1])


def test_without_a_part_the_same_cases_are_planned(rows: list[Row]) -> None:
    parts = ("complete", "no task recurrence", "one model only", "moves at random")
    found = list(ablate_plans.rows_of(0, [graph(1), graph(2)], [graph(3)], EFFORT, parts))
    assert [row.part for row in found] == list(parts)
    for row, column in ((found[0], "together"), (found[-1], "random together")):
        assert [each[0] for each in row.speed_ups] == pytest.approx(
            [rows[0].default_ms / ms for ms in rows[0].ms[column]]
        )
    assert all(each[0] >= 1 for row in found for each in row.speed_ups)
    assert "moves at random" in str(ablate_plans.table_of(found, EFFORT.budgets).columns[0]._cells)
