"""Policies are trained to fuse on models of one's own, the same by the same seed, and tuning uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tvm.driver.tvmc.model import TVMCModel

from cost_model.dataset import dataset
from cost_model.regressor import CostModel
from relay_passes.targets import as_target
from tests.cost_model.test_predictor import TARGET as OTHER_TARGET
from tests.cost_model.test_predictor import records
from tests.models import write_small_onnx, write_tiny_onnx
from tests.tuned import Tuned
from tvm_go import training_fusion
from tvm_go.errors import UsageError
from tvm_go.learn.fusion_training import FusionTraining
from tvm_go.learn.ppo import PPOConfig
from tvm_go.policy import Checkpoint, PolicyConfig, load_policy
from tvm_go.training import TrainProgress, recent, train
from tvm_go.tvmc.models import load_model

RELAY = """\
#[version = "0.0.5"]
def @main(%x: Tensor[(4, 64), float32]) {
  nn.relu(%x)
}
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies that take no time."""
    config = PolicyConfig(("fusion",), width=16, graph_layers=2, heads=2, segment=16, rounds=1)
    monkeypatch.setattr(training_fusion, "POLICY", config)
    monkeypatch.setattr(training_fusion, "TRAINING", FusionTraining(graphs_per_step=2, ppo=PPOConfig(samples=4)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cost model that knows little, for any target, and a model without anything to fuse."""
    folder = tmp_path_factory.mktemp("training")
    CostModel.fit(dataset(records()), rounds=20, members=2, networks=1, epochs=2).save(folder / "cost.model")
    (folder / "alone.relay").write_text(RELAY)
    return folder


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, TVMCModel]:
    paths = {"small": write_small_onnx(folder / "small.onnx"), "tiny": write_tiny_onnx(folder / "tiny.onnx")}
    return {name: load_model(str(path), None, None) for name, path in paths.items()}


def trained(models: dict[str, TVMCModel], folder: Path, **changes: Any) -> Checkpoint:
    options = {"cost_model": folder / "cost.model", "forms": 0, "steps": 5, "imitation_steps": 3}
    return train(models, tasks=["fusion"], **{**options, **changes})


def weights(checkpoint: Checkpoint) -> list[torch.Tensor]:
    return list(checkpoint.policy.state_dict().values())


def same(one: Checkpoint, other: Checkpoint) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_a_policy_of_models_carries_what_it_was_trained_on(
    models: dict[str, TVMCModel], folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "policy.pt"
    returned = trained(models, folder, output=output, forms=1)
    loaded = load_policy(output, ("fusion",))
    assert same(returned, loaded)
    record = loaded.record
    assert record == json.loads(json.dumps(returned.record))
    assert (record["models"], record["forms"], record["logs"]) == (["small", "tiny"], 1, [])
    assert record["target"] == str(as_target("native"))
    assert {"small.0", "tiny.0"} < set(record["graphs"])
    assert {"nn.softmax", "nn.dense"} & set(record["op_types"])
    assert (record["steps_done"], record["ended_by"]) == (5, "steps")
    assert set(record["curve"][0]) == {"imitation_loss"}
    assert {"reward", "gap/tiny.0"} <= {name for row in record["curve"][3:] for name in row}


def test_an_interrupted_training_goes_on_to_the_policy_of_one_that_was_not(
    models: dict[str, TVMCModel], folder: Path, tmp_path: Path
) -> None:
    def stop_at_4(progress: TrainProgress) -> None:
        if (progress.stage, progress.done) == ("train", 4):
            raise KeyboardInterrupt

    output = tmp_path / "policy.pt"
    stopped = trained(models, folder, output=output, on_progress=stop_at_4)
    assert (stopped.record["steps_done"], stopped.record["ended_by"]) == (4, "interrupt")
    resumed = trained(models, folder, output=output, resume=True)
    whole = trained(models, folder)
    assert same(resumed, whole)
    assert resumed.record["curve"] == whole.record["curve"]
    assert not same(whole, trained(models, folder, seed=1))


def test_progress_tells_of_models_and_steps(models: dict[str, TVMCModel], folder: Path) -> None:
    told: list[TrainProgress] = []
    trained(models, folder, on_progress=told.append)
    shares = [one.share for one in told if one.stage == "prepare"]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] < 1
    assert [one.done for one in told if one.stage == "train"] == list(range(6))
    assert set(recent(told[-1].rows)) == {"reward", "gap"}


def test_what_a_log_holds_counts(models: dict[str, TVMCModel], folder: Path, tuned: Tuned) -> None:
    with_log = trained(models, folder, log=tuned.log, steps=1)
    assert with_log.record["logs"] == [str(tuned.log)]
    without = trained(models, folder, steps=1)
    assert with_log.record["curve"] != without.record["curve"]


def test_wrong_use_is_one_clear_line(models: dict[str, TVMCModel], folder: Path, tmp_path: Path) -> None:
    alone = {"alone": load_model(str(folder / "alone.relay"), None, None)}
    log = tmp_path / "log.jsonl"
    log.write_text("".join(record.to_json_line() + "\n" for record in records(3)))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"forms": -1}, "forms are -1; give 0 or more"),
        ({"models": {}}, "there is no model to learn from"),
        ({"models": alone}, "alone: no two of its ops may be one kernel"),
        ({"log": log}, rf"log\.jsonl holds no kernel of .*'{OTHER_TARGET}'"),
        ({"target": "llvm -mcpu=core-avx2", "cost_model": None}, "no cost model ships for 'llvm"),
        ({"graphs": 3}, "graphs is for the task placement, not for fusion; leave it out"),
    ]
    for changes, words in cases:
        with pytest.raises(UsageError, match=words) as caught:
            trained(**{"models": models, "folder": folder, **changes})
        assert "\n" not in str(caught.value)
