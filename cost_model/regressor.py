"""XGBoost on what a sum of costs leaves over: what a kernel takes that was never measured, and how sure that is."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from cost_model.additive import AdditiveModel
from cost_model.dataset import COLUMNS, Dataset
from cost_model.features import Floats
from cost_model.roofline import roofline
from tvm_go.atomic import write_atomically
from tvm_go.errors import LogError

FORMAT, VERSION = "tvm-go cost model", 2
_MEMBERS = 5  # of the ensemble
_TIME: dict[str, Any] = {
    "objective": "reg:absoluteerror", "eta": 0.06, "max_depth": 8, "min_child_weight": 2, "subsample": 0.8,
    "colsample_bytree": 0.4, "lambda": 1.0, "max_bin": 512, "tree_method": "hist",
}  # fmt: skip
_FAILURE: dict[str, Any] = {"objective": "binary:logistic", "eta": 0.1, "max_depth": 6, "subsample": 0.8,
                            "colsample_bytree": 0.5, "tree_method": "hist"}  # fmt: skip
_ROUNDS, _FAILURE_ROUNDS, _REFIT_ROUNDS = 500, 150, 40


@dataclass(frozen=True)
class Prediction:
    """What is expected of R kernels.

    Attributes
    ----------
    ms : float64 [R]
        Milliseconds, if the kernel works.
    spread : float64 [R]
        Standard deviation of the ensemble's logarithms (base 2): 0.1 is some 7 %.
    failure : float64 [R]
        Probability that the kernel does not build, runs past its limit or gives wrong numbers.
    """

    ms: Floats
    spread: Floats
    failure: Floats


@dataclass(frozen=True)
class CostModel:
    """A sum of costs, an ensemble for what it leaves over of the time, and a classifier for failures."""

    additive: AdditiveModel
    time: tuple[xgboost.Booster, ...]
    failure: xgboost.Booster

    @staticmethod
    def fit(data: Dataset, *, seed: int = 0, members: int = _MEMBERS, rounds: int = _ROUNDS) -> CostModel:
        """Learn from measurements.

        Raises
        ------
        LogError
            If none of them succeeded.
        """
        worked = np.isfinite(data.ms)
        if not worked.any():
            raise LogError("no measurement in the log succeeded: nothing can be learned from it")
        additive = AdditiveModel.fit(data.rows[worked], data.ms[worked])
        rows, sums = _with_sums(additive, data.rows[worked])
        left = np.log2(data.ms[worked]) - sums
        time = tuple(_train({**_TIME, "seed": seed * 1000 + member}, rows, left, rounds) for member in range(members))
        failure = _train({**_FAILURE, "seed": seed}, data.rows, (~worked).astype(np.float64), _FAILURE_ROUNDS)
        return CostModel(additive, time, failure)

    def refit(self, data: Dataset) -> CostModel:
        """A model that has learned from more measurements; those of before count as far as it remembers them."""
        worked = np.isfinite(data.ms)
        if not worked.any():
            return self
        rows, sums = _with_sums(self.additive, data.rows[worked])
        left = np.log2(data.ms[worked]) - sums
        time = tuple(
            _train({**_TIME, "seed": member}, rows, left, _REFIT_ROUNDS, before)
            for member, before in enumerate(self.time)
        )
        return CostModel(self.additive, time, self.failure)

    def predict(self, rows: Floats) -> Prediction:
        """Milliseconds of kernels.

        Parameters
        ----------
        rows : float64 [R, len(COLUMNS)]
        """
        if not len(rows):
            return Prediction(*(np.zeros(0) for _ in range(3)))
        matrix_rows, sums = _with_sums(self.additive, rows)
        matrix = xgboost.DMatrix(matrix_rows)
        logs = np.array([booster.predict(matrix) for booster in self.time], dtype=np.float64) + sums
        failure = np.asarray(self.failure.predict(xgboost.DMatrix(rows)), dtype=np.float64)
        return Prediction(np.exp2(logs.mean(axis=0)), logs.std(axis=0), failure)

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
            "members": len(self.time),
            "weights": self.additive.weights.tolist(),
        }
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("about.json", json.dumps(about))
            for name, booster in self._boosters().items():
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
                names = [*(f"time_{member}.ubj" for member in range(about["members"])), "failure.ubj"]
                boosters = [_loaded(archive.read(name)) for name in names]
        except OSError as error:
            raise LogError(f"cannot read cost model {path}: {error.strerror}; {again}") from None
        except xgboost.core.XGBoostError:
            versions = f"written by XGBoost {about.get('xgboost')}, which {xgboost.__version__} cannot read"
            raise LogError(f"the cost model {path} was {versions}: {again}") from None
        except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, TypeError) as error:
            raise LogError(f"{path} is no cost model ({error}): {again}") from None
        return CostModel(AdditiveModel(np.array(about["weights"])), tuple(boosters[:-1]), boosters[-1])

    def _boosters(self) -> Mapping[str, xgboost.Booster]:
        return {f"time_{member}.ubj": one for member, one in enumerate(self.time)} | {"failure.ubj": self.failure}


def _with_sums(additive: AdditiveModel, rows: Floats) -> tuple[Floats, Floats]:
    """What the trees see, float64 [R, columns], and the logarithms that they correct, float64 [R]."""
    sums = additive.predict(rows)
    return np.column_stack([rows, sums - roofline(rows)]), sums


def _train(
    params: dict[str, Any], rows: Floats, target: Floats, rounds: int, before: xgboost.Booster | None = None
) -> xgboost.Booster:
    return xgboost.train(params, xgboost.DMatrix(rows, label=target), rounds, xgb_model=before)


def _loaded(data: bytes) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(bytearray(data))
    return booster
