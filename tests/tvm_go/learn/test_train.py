"""Training runs: deterministic, resumable to the bit, and safe against numbers that are none."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tvm_go.learn.cases import chains, gpus, lesson_of, small_policy
from tvm_go.errors import TrainingError, UsageError
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.ppo import PPOConfig
from tvm_go.learn.train import POLICY_FILE, RUN_FILE, TrainConfig, train
from tvm_go.policy import Actions, GraphInput, Policy, Score, load_policy

CONFIG = TrainConfig(steps=6, imitation_steps=3, graphs_per_step=2, ppo=PPOConfig(samples=4, minibatch_graphs=1))


@pytest.fixture(scope="module")
def lessons() -> list[Lesson]:
    return [lesson_of(chains(name=name), gpus(count)) for name, count in (("a", 2), ("b", 3), ("c", 2))]


def weights_after(
    lessons: list[Lesson],
    config: TrainConfig,
    *,
    seed: int = 0,
    folder: Path | None = None,
    resume: bool = False,
    seconds: float = float("inf"),
) -> list[torch.Tensor]:
    policy = small_policy()
    train(policy, lessons, config, np.random.default_rng(seed), folder=folder, resume=resume, seconds=seconds)
    return list(policy.state_dict().values())


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(lessons: list[Lesson]) -> None:
    assert same(weights_after(lessons, CONFIG), weights_after(lessons, CONFIG))
    assert not same(weights_after(lessons, CONFIG), weights_after(lessons, CONFIG, seed=1))


@pytest.mark.parametrize("stop", [2, 4], ids=["while imitating", "while learning by reward"])
def test_a_run_that_was_stopped_and_resumed_gives_the_weights_of_one_that_was_not(
    lessons: list[Lesson], tmp_path: Path, stop: int
) -> None:
    weights_after(lessons, replace(CONFIG, steps=stop), folder=tmp_path)
    resumed = weights_after(lessons, CONFIG, seed=99, folder=tmp_path, resume=True)
    assert same(resumed, weights_after(lessons, CONFIG))
    steps = [json.loads(line)["step"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert steps == list(range(CONFIG.steps))


def test_the_policy_that_is_written_is_the_one_that_was_trained_and_carries_its_record(
    lessons: list[Lesson], tmp_path: Path
) -> None:
    weights = weights_after(lessons, CONFIG, folder=tmp_path)
    checkpoint = load_policy(tmp_path / POLICY_FILE)
    assert same(list(checkpoint.policy.state_dict().values()), weights)
    assert checkpoint.record["graphs"] == ["a on 2 gpus", "b on 3 gpus", "c on 2 gpus"]
    assert len(checkpoint.record["curve"]) == CONFIG.steps
    last = checkpoint.record["curve"][-1]
    assert {"reward", "approx_kl", "clip_fraction", "entropy", "explained_variance"} < set(last)
    assert sum(name.startswith("gap/") for name in last) == CONFIG.graphs_per_step


def test_no_time_gives_the_weights_that_went_in(lessons: list[Lesson]) -> None:
    assert same(weights_after(lessons, CONFIG, seconds=0.0), list(small_policy().state_dict().values()))


def test_training_ends_with_better_plans_than_it_began_with(lessons: list[Lesson]) -> None:
    policy = small_policy()
    config = replace(CONFIG, steps=40, imitation_steps=0, learning_rate=3e-3)
    curve = train(policy, lessons, config, np.random.default_rng(0))["curve"]
    assert np.mean([row["reward"] for row in curve[-8:]]) > np.mean([row["reward"] for row in curve[:8]])


def test_a_loss_that_is_not_a_number_stops_the_run_names_the_graph_and_keeps_the_last_checkpoint(
    lessons: list[Lesson], tmp_path: Path
) -> None:
    class Broken(Policy):
        def score(self, graph: GraphInput, actions: Actions) -> Score:
            score = super().score(graph, actions)
            return score._replace(value=score.value * torch.nan) if graph is lessons[1].exercise.graph else score

    policy = Broken(small_policy().config)
    config = replace(CONFIG, imitation_steps=0, graphs_per_step=3, checkpoint_seconds=0.0)
    with pytest.raises(TrainingError, match=r"step 0: b on 3 gpus: the loss is nan .* step 0 are kept in .*run\.pt"):
        train(policy, lessons, config, np.random.default_rng(0), folder=tmp_path)
    kept = torch.load(tmp_path / RUN_FILE, weights_only=True)["policy"]
    assert all(torch.isfinite(weight).all() for weight in kept.values())
    assert not (tmp_path / POLICY_FILE).exists()


def test_a_run_is_resumed_with_its_own_settings_and_graphs_only(lessons: list[Lesson], tmp_path: Path) -> None:
    weights_after(lessons, replace(CONFIG, steps=1), folder=tmp_path)
    with pytest.raises(UsageError, match="another settings"):
        weights_after(lessons, replace(CONFIG, graphs_per_step=1), folder=tmp_path, resume=True)
    with pytest.raises(UsageError, match="another graphs"):
        weights_after(lessons[:2], CONFIG, folder=tmp_path, resume=True)


def test_a_folder_with_a_run_is_not_overwritten(lessons: list[Lesson], tmp_path: Path) -> None:
    weights_after(lessons, replace(CONFIG, steps=1), folder=tmp_path)
    with pytest.raises(UsageError, match="resume it"):
        weights_after(lessons, CONFIG, folder=tmp_path)


def test_files_that_are_no_run_are_refused_in_one_line(lessons: list[Lesson], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run to resume"):
        weights_after(lessons, CONFIG, folder=tmp_path, resume=True)
    (tmp_path / RUN_FILE).write_bytes(b"something else")
    with pytest.raises(UsageError, match=r"^[^\n]*is no training run[^\n]*$"):
        weights_after(lessons, CONFIG, folder=tmp_path, resume=True)


def test_graphs_need_names_of_their_own(lessons: list[Lesson]) -> None:
    with pytest.raises(UsageError, match="2 graphs with 1 names"):
        weights_after([lessons[0], lessons[0]], CONFIG)
