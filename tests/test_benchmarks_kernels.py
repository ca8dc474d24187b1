"""Comparing policies that fuse with searches: one model's row."""

from __future__ import annotations

import numpy as np

from benchmarks.kernel_lessons import FAMILIES, MODELS
from benchmarks.synthetic import synthetic
from benchmarks.zero_shot_kernels import COLUMNS, compared, table_of
from tests.tvm_go.learn.fusing import default_of, fusing_policy, simple_oracle
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem


def test_every_model_belongs_to_one_family() -> None:
    assert len(MODELS) == len(set(MODELS)) == sum(map(len, FAMILIES.values()))


def test_a_row_compares_all_strategies_within_the_same_number_of_kernels() -> None:
    graph = synthetic(16, np.random.default_rng(1), reach=4)

    def new_problem(extra: int) -> Problem:
        limits = Budget(kernels=extra + 12)
        problem = Problem(graph, default_of(graph), rule_set("open"), simple_oracle, limits, predicts=lambda: True)
        problem.cost_default()
        return problem

    row = compared("family", "model", fusing_policy(), graph.op_names, new_problem, 2.0)
    assert {*row.ratios} == {*COLUMNS} - {"best_known"}
    assert all(row.ratios[name] >= 1 for name in ("zero_shot", "fine_tuned", "untrained", "greedy", "annealing"))
    assert row.ratios["zero_shot"] >= row.ratios["likeliest"]  # which is one of the plans that it tries
    assert row.ratios["fine_tuned"] >= row.ratios["zero_shot"]
    assert table_of([row], "title").row_count == 2
