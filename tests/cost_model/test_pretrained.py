"""The model that ships is found by the class of CPUs; where none ships, one line says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cost_model import pretrained
from cost_model.dataset import dataset
from cost_model.pretrained import SHIPPED, cost_model_of, shipped_file
from cost_model.regressor import CostModel
from tests.cost_model.test_predictor import records
from tvm_go.errors import LogError, UsageError


def test_a_shipped_model_is_for_one_class_of_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    data = dataset(records(20))
    model = CostModel.fit(data, rounds=5, members=1, networks=1, epochs=1)
    model.save(shipped_file("avx512"))
    loaded = cost_model_of(SHIPPED, isa="avx512", target="llvm -mcpu=skylake-avx512")
    assert loaded.predict(data).ms.tolist() == model.predict(data).ms.tolist()
    for isa in ("avx2", None):
        with pytest.raises(UsageError, match=r"no cost model ships for 'llvm -mcpu=a' \(there are: avx512\)"):
            cost_model_of(SHIPPED, isa=isa, target="llvm -mcpu=a")
    with pytest.raises(LogError, match="No such file"):
        cost_model_of(tmp_path / "none", isa="avx512", target="llvm")
