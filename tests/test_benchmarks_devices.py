"""Builds of one model are timed side by side; one that fails or computes something else takes no other with it."""

from pathlib import Path

import numpy as np
import tvm
from tvm import relay

from benchmarks.builds_in_turns import Written, time_builds
from cost_model.rpc import RpcConnection
from relay_passes.library import write_module
from relay_passes.target_set import TargetSet
from tvm_go.model import Model


def written(text: str, folder: Path) -> Written:
    model = Model.prepare(relay.fromtext('#[version = "0.0.5"]\n' + text), None, tvm.target.Target("llvm"))
    folder.mkdir()
    write_module(model.mod, model.flow, model.graph, model.default, folder)
    return Written(folder, ("cpu",))


def test_builds_are_timed_in_turns_and_each_failure_is_its_own(tmp_path: Path) -> None:
    small = "def @main(%x: Tensor[(8, 1000), float32]) { nn.softmax(%x) }"
    large = "def @main(%x: Tensor[(8, 1000), float32]) { %0 = nn.softmax(%x); nn.softmax(tan(tan(tan(log(%0))))) }"
    (broken := tmp_path / "broken").mkdir()
    (broken / "module.json").write_text("{}")
    (broken / "weights.params").write_bytes(relay.save_param_dict({}))
    builds = {
        "one": written(small, tmp_path / "one"),
        "broken": Written(broken, ("cpu",)),
        "again": written(small, tmp_path / "again"),
        "other": written(large, tmp_path / "other"),
    }
    targets = TargetSet.parse("llvm")
    inputs = {"x": np.random.default_rng(0).standard_normal((8, 1000)).astype(np.float32)}
    with RpcConnection(devices=targets.names) as connection:
        found = time_builds(builds, targets.targets, connection.address(), inputs, tmp_path)
    assert set(found) == set(builds)
    assert isinstance(found["one"], float)
    assert isinstance(found["again"], float)
    assert found["other"] == "wrong numbers"
    assert isinstance(found["broken"], str)
    assert "\n" not in found["broken"]
