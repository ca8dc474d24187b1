"""What a kernel takes that was never measured, and how sure that is.

A sum of costs, and what graph networks expect it to leave over. Trees (XGBoost) expect that, too, and err elsewhere:
where both agree a prediction is sure.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xgboost

from cost_model.additive import AdditiveModel, log_sum
from cost_model.dataset import COLUMNS, Dataset, Inputs
from cost_model.features import Floats
from cost_model.network import KernelNetwork
from cost_model.roofline import roofline
from tvm_go.atomic import write_atomically
from tvm_go.errors import LogError, UsageError

FORMAT, VERSION = "tvm-go cost model", 6
_MEMBERS, _NETWORKS, _EPOCHS = 5, 3, 60
_TREES: dict[str, Any] = {
    "objective": "reg:absoluteerror", "eta": 0.06, "max_depth": 8, "min_child_weight": 2, "subsample": 0.8,
    "colsample_bytree": 0.4, "lambda": 1.0, "max_bin": 512, "tree_method": "hist",
}  # fmt: skip
_FAILURE: dict[str, Any] = {"objective": "binary:logistic", "eta": 0.1, "max_depth": 6, "subsample": 0.8,
                            "colsample_bytree": 0.5, "tree_method": "hist"}  # fmt: skip
_ROUNDS, _FAILURE_ROUNDS, _REFIT_ROUNDS = 500, 150, 40
_REFIT: dict[str, Any] = {**_TREES, "num_parallel_tree": _MEMBERS}


@dataclass(frozen=True)
class Prediction:
    """What is expected of R kernels.

    Attributes
    ----------
    ms : float64 [R]
        Milliseconds, if the kernel works.
    sum_ms : float64 [R]
        By the sum of costs alone: to choose by among many, if none is measured. The least of many predictions is one
        that errs (Smith and Winkler, "The Optimizer's Curse", Management Science 52, 2006); the sum errs more often,
        but less far.
    spread : float64 [R]
        Standard deviation of the logarithms (base 2) of all trees and networks: 0.1 is some 7 %.
    failure : float64 [R]
        Probability that the kernel does not build, runs past its limit or gives wrong numbers.
    """

    ms: Floats
    sum_ms: Floats
    spread: Floats
    failure: Floats


class Corrections(NamedTuple):
    """Logarithms (base 2) of milliseconds of R kernels.

    Attributes
    ----------
    seen : float64 [R, columns]
        What trees and networks see of them.
    sums : float64 [R]
        By the sum of costs.
    trees : float64 [members, R]
    networks : float64 [networks, R]
        What each member adds to it.
    lessons : float64 [lessons, R]
        What each lesson adds to the networks' mean.
    """

    seen: Floats
    sums: Floats
    trees: Floats
    networks: Floats
    lessons: Floats

    @property
    def middle(self) -> Floats:
        """Of the networks, which on models left out err less than trees, and less than any mixture: float64 [R]."""
        return np.asarray(self.networks.mean(axis=0))

    @property
    def log_ms(self) -> Floats:
        """What the model expects: float64 [R]."""
        return self.sums + self.middle + self.lessons.sum(axis=0)


@dataclass(frozen=True, eq=False)
class CostModel:
    """A sum of costs, networks and trees for what it leaves over of the time, and a classifier for failures.

    Attributes
    ----------
    lessons : tuple of Booster
        What all these left over of measurements that came later.
    """

    additive: AdditiveModel
    trees: tuple[xgboost.Booster, ...]
    networks: tuple[KernelNetwork, ...]
    failure: xgboost.Booster
    lessons: tuple[xgboost.Booster, ...] = ()

    @staticmethod
    def fit(
        data: Dataset,
        *,
        seed: int = 0,
        members: int = _MEMBERS,
        rounds: int = _ROUNDS,
        networks: int = _NETWORKS,
        epochs: int = _EPOCHS,
    ) -> CostModel:
        """Learn from measurements.

        Raises
        ------
        LogError
            If none of them succeeded.
        UsageError
            If DGL or torch, by which networks are learned, is missing.
        """
        worked = np.isfinite(data.ms)
        if not worked.any():
            raise LogError("no measurement in the log succeeded: nothing can be learned from it")
        good = data.take(worked)
        additive = AdditiveModel.fit(good.rows, good.ms)
        seen, sums = _seen(additive, good.rows)
        left = np.log2(good.ms) - sums
        seeds = [seed * 1000 + member for member in range(max(members, networks))]
        return CostModel(
            additive,
            tuple(_train({**_TREES, "seed": one}, seen, left, rounds) for one in seeds[:members]),
            _trained_networks(replace(good, rows=seen), left, seeds[:networks], epochs),
            _train({**_FAILURE, "seed": seed}, data.rows, (~worked).astype(np.float64), _FAILURE_ROUNDS),
        )

    def refit(self, data: Dataset) -> CostModel:
        """A model that has learned from more measurements, by trees for what it misses of their times."""
        worked = np.isfinite(data.ms)
        if not worked.any():
            return self
        good = data.take(worked)
        found = self.corrections(good)
        left = np.log2(good.ms) - found.log_ms
        lesson = _train({**_REFIT, "seed": len(self.lessons)}, found.seen, left, _REFIT_ROUNDS)
        return replace(self, lessons=(*self.lessons, lesson))

    def predict(self, inputs: Inputs) -> Prediction:
        """Milliseconds of kernels."""
        if not len(inputs.rows):
            return Prediction(*(np.zeros(0) for _ in range(4)))
        found = self.corrections(inputs)
        halves = (found.trees, found.networks)
        variance = np.mean([np.square(half - found.middle).mean(axis=0) for half in halves], axis=0)
        failure = _by_boosters([self.failure], inputs.rows)[0]
        return Prediction(np.exp2(found.log_ms), np.exp2(found.sums), np.sqrt(variance), failure)

    def corrections(self, inputs: Inputs) -> Corrections:
        """What each part of the model says of kernels."""
        seen, sums = _seen(self.additive, inputs.rows)
        with_costs = replace(inputs, rows=seen)
        networks = np.array([network.predict(with_costs) for network in self.networks])
        trees, lessons = np.split(_by_boosters((*self.trees, *self.lessons), seen), [len(self.trees)])
        return Corrections(seen, sums, trees, networks, lessons)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one file; readers see the old one or the new one.

        Raises
        ------
        LogError
            If it cannot be written.
        """
        path = Path(path)
        about = {
            "format": FORMAT,
            "version": VERSION,
            "xgboost": xgboost.__version__,
            "columns": list(COLUMNS),
            "trees": len(self.trees),
            "networks": len(self.networks),
            "lessons": len(self.lessons),
            "devices": self.additive.devices.tolist(),
            "weights": self.additive.weights.tolist(),
        }
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("about.json", json.dumps(about))
            for number, network in enumerate(self.networks):
                archive.writestr(_network_name(number), network.to_bytes())
            boosters = (*self.trees, *self.lessons, self.failure)
            for name, booster in zip(_booster_names(len(self.trees), len(self.lessons)), boosters, strict=True):
                archive.writestr(name, bytes(booster.save_raw("ubj")))
        try:
            write_atomically(path, content.getvalue())
        except OSError as error:
            raise LogError(f"cannot write cost model {path}: {error.strerror}; give another file") from None

    @staticmethod
    def load(path: str | os.PathLike[str]) -> CostModel:
        """Read what :meth:`save` wrote.

        Raises
        ------
        LogError
            If the file is missing, damaged, or made by a version that this one cannot read.
        """
        again = "`tvm-go log train` makes one from a log"
        try:
            with zipfile.ZipFile(path) as archive:
                about = json.loads(archive.read("about.json"))
                if about.get("format") != FORMAT or about.get("version") != VERSION:
                    raise LogError(f"{path} is a cost model of another version ({about.get('version')}): {again}")
                if about["columns"] != list(COLUMNS):
                    raise LogError(f"the cost model {path} was made for other features of kernels: {again}")
                networks = [
                    KernelNetwork.from_bytes(archive.read(_network_name(number))) for number in range(about["networks"])
                ]
                trees, lessons = about["trees"], about["lessons"]
                boosters = [_loaded(archive.read(name)) for name in _booster_names(trees, lessons)]
        except OSError as error:
            raise LogError(f"cannot read cost model {path}: {error.strerror}; {again}") from None
        except xgboost.core.XGBoostError:
            versions = f"written by XGBoost {about.get('xgboost')}, which {xgboost.__version__} cannot read"
            raise LogError(f"the cost model {path} was {versions}: {again}") from None
        except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, TypeError) as error:
            raise LogError(f"{path} is no cost model ({error}): {again}") from None
        additive = AdditiveModel(np.array(about["devices"]), np.array(about["weights"]))
        return CostModel(additive, tuple(boosters[:trees]), tuple(networks), boosters[-1], tuple(boosters[trees:-1]))


def _network_name(number: int) -> str:
    return f"network_{number}.npz"


def _booster_names(trees: int, lessons: int) -> list[str]:
    numbered = [*(f"trees_{number}" for number in range(trees)), *(f"lesson_{number}" for number in range(lessons))]
    return [f"{name}.ubj" for name in (*numbered, "failure")]


def _trained_networks(data: Dataset, left: Floats, seeds: Sequence[int], epochs: int) -> tuple[KernelNetwork, ...]:
    try:
        from cost_model.network_training import train_network  # DGL takes seconds to import, and may be missing
    except ImportError as error:
        raise UsageError(f"learning a cost model needs DGL and torch ({error}): pip install 'tvm-go[policy]'") from None
    return tuple(train_network(data, left, epochs=epochs, seed=one) for one in seeds)


def _seen(additive: AdditiveModel, rows: Floats) -> tuple[Floats, Floats]:
    """What trees and networks see, float64 [R, columns], and the logarithms that they correct, float64 [R].

    What the sum expects stands beside what it knows: a part that takes most of the time is a part to correct.
    """
    costs = additive.costs(rows)
    sums = log_sum(costs)
    shares = np.sqrt(costs / np.exp2(sums)[:, None])
    return np.column_stack([rows, shares, sums - roofline(rows), sums]), sums


def _train(params: dict[str, Any], rows: Floats, target: Floats, rounds: int) -> xgboost.Booster:
    return xgboost.train(params, xgboost.DMatrix(rows, label=target), rounds)


def _by_boosters(boosters: Sequence[xgboost.Booster], rows: Floats) -> Floats:
    """float64 [boosters, R]."""
    matrix = xgboost.DMatrix(rows)
    return np.array([booster.predict(matrix) for booster in boosters], dtype=np.float64)


def _loaded(data: bytes) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(bytearray(data))
    return booster
