"""A model in several forms: TVM's own first, no two equal, the same ones by the same seed."""

from __future__ import annotations

from pathlib import Path

from relay_passes.targets import as_target
from tests.models import write_small_onnx
from tvm_go.model import Model
from tvm_go.model_forms import forms_of
from tvm_go.tvmc.models import load_model


def test_forms_differ_begin_with_tvms_own_and_are_the_same_by_the_same_seed(tmp_path: Path) -> None:
    model = load_model(str(write_small_onnx(tmp_path / "small.onnx")), None, None)
    target = as_target("native")
    own = Model.prepare(model.mod, model.params, target)
    few, some, again = (forms_of(model.mod, model.params, target, more=more, seed=1) for more in (0, 2, 2))
    hashes = [form.graph.structural_hash for form in some]
    assert hashes[0] == own.graph.structural_hash
    assert (some[0].default == own.default).all()
    assert len(set(hashes)) == len(hashes) == len(few) + 2
    assert hashes == [form.graph.structural_hash for form in again]
    assert hashes[: len(few)] == [form.graph.structural_hash for form in few]
