"""Ways to predict the milliseconds of kernels from those of others, which `benchmarks.cost_model` compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import xgboost

from cost_model.additive import AdditiveModel
from cost_model.dataset import Dataset, Inputs
from cost_model.features import Floats
from cost_model.regressor import CostModel
from cost_model.roofline import roofline

Predict = Callable[[Inputs], Floats]
"""From kernels to their milliseconds (or a rank) [R]."""
Fit = Callable[[Dataset], Predict]
"""Learns from measurements."""


def by_roofline(data: Dataset) -> Predict:
    """Arithmetic and traffic, at a speed that fits the median."""
    worked = np.isfinite(data.ms)
    factor = np.median(np.log2(data.ms[worked]) - roofline(data.rows[worked]))
    return lambda kernels: np.exp2(roofline(kernels.rows) + factor)


def by_additive(data: Dataset) -> Predict:
    """The sum of costs that trees and networks correct."""
    worked = np.isfinite(data.ms)
    model = AdditiveModel.fit(data.rows[worked], data.ms[worked])
    return lambda kernels: np.exp2(model.predict(kernels.rows))


def by_linear(data: Dataset) -> Predict:
    """Ridge regression of the logarithm on all features."""
    worked = np.isfinite(data.ms)
    rows = np.nan_to_num(data.rows[worked])
    middle, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    table = np.column_stack([(rows - middle) / scale, np.ones(len(rows))])
    weights = np.linalg.solve(table.T @ table + 3.0 * np.eye(table.shape[1]), table.T @ np.log2(data.ms[worked]))

    def predict(kernels: Inputs) -> Floats:
        scaled = (np.nan_to_num(kernels.rows) - middle) / scale
        return np.asarray(np.exp2(np.clip(scaled @ weights[:-1] + weights[-1], -30, 30)))

    return predict


def by_ranking(data: Dataset) -> Predict:
    """XGBoost's ranking objective, one group per model: ranks only."""
    worked = data.take(np.isfinite(data.ms))
    order = np.argsort(worked.models, kind="stable")
    groups = np.unique(worked.models[order], return_counts=True)[1]
    slow = np.argsort(np.argsort(worked.ms[order])) * 31 // len(order)
    matrix = xgboost.DMatrix(worked.rows[order], label=slow)
    matrix.set_group(groups)
    params = {"objective": "rank:pairwise", "eta": 0.1, "max_depth": 8, "colsample_bytree": 0.5}
    booster = xgboost.train(params, matrix, 200)
    return lambda kernels: np.asarray(booster.predict(xgboost.DMatrix(kernels.rows)), dtype=np.float64)


@lru_cache(maxsize=1)
def fitted(data: Dataset) -> CostModel:
    """What would ship, with the trees that say how sure it is."""
    return CostModel.fit(data)


def by_trees(data: Dataset) -> Predict:
    """The sum, corrected by trees alone."""
    model = fitted(data)

    def predict(kernels: Inputs) -> Floats:
        found = model.corrections(kernels)
        return np.exp2(found.sums + found.trees.mean(axis=0))

    return predict


def by_networks(data: Dataset) -> Predict:
    """The model that ships: the sum, corrected by graph networks on the kernels' ops."""
    model = fitted(data)
    return lambda kernels: model.predict(kernels).ms


WAYS: Mapping[str, Fit] = {
    "roofline": by_roofline,
    "additive": by_additive,
    "linear": by_linear,
    "ranking": by_ranking,
    "trees": by_trees,
    "networks": by_networks,
}
