"""Training runs: deterministic, resumable to the bit, and safe against numbers that are none."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tvm_go.learn.cases import chains, gpus, lesson_of, small_policy
from tvm_go.errors import TrainingError, UsageError
from tvm_go.learn.journal import JOURNAL_FILE, Row
from tvm_go.learn.lesson import Lesson
from tvm_go.learn.ppo import PPOConfig
from tvm_go.learn.run import RUN_FILE, RunOptions
from tvm_go.learn.train import TrainConfig, train
from tvm_go.policy import Actions, GraphInput, Policy, Score

CONFIG = TrainConfig(steps=6, imitation_steps=3, graphs_per_step=2, ppo=PPOConfig(samples=4, minibatch_graphs=1))


@pytest.fixture(scope="module")
def lessons() -> list[Lesson]:
    return [lesson_of(chains(name=name), gpus(count)) for name, count in (("a", 2), ("b", 3), ("c", 2))]


def weights_after(
    lessons: list[Lesson],
    config: TrainConfig,
    *,
    seed: int = 0,
    **options: Any,
) -> list[torch.Tensor]:
    policy = small_policy()
    train(policy, lessons, config, np.random.default_rng(seed), RunOptions(**options))
    return list(policy.state_dict().values())


def journal_steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / JOURNAL_FILE).read_text().splitlines()]


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
    assert journal_steps(tmp_path) == list(range(CONFIG.steps))


def test_the_record_says_what_was_learned_from_how_and_with_what(lessons: list[Lesson]) -> None:
    record = train(small_policy(), lessons, CONFIG, np.random.default_rng(0))
    assert record["graphs"] == ["a on 2 gpus", "b on 3 gpus", "c on 2 gpus"]
    assert record["settings"]["imitation_steps"] == 3
    assert set(record["versions"]) == {"tvm-go", "torch", "dgl", "numpy"}
    assert (record["steps_done"], record["ended_by"], len(record["curve"])) == (6, "steps", 6)
    assert set(record["curve"][0]) == {"imitation_loss"}
    last = record["curve"][-1]
    assert {"reward", "approx_kl", "clip_fraction", "entropy", "explained_variance"} < set(last)
    assert sum(name.startswith("gap/") for name in last) == CONFIG.graphs_per_step


def by_a_signal() -> None:
    signal.raise_signal(signal.SIGINT)


def by_the_caller() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("interrupt", [by_a_signal, by_the_caller])
def test_an_interrupt_ends_the_run_between_two_steps_and_it_goes_on_from_there(
    lessons: list[Lesson], tmp_path: Path, interrupt: Callable[[], None]
) -> None:
    def stop_at_4(step: int, row: Row) -> None:
        if step == 4:
            interrupt()

    policy = small_policy()
    record = train(policy, lessons, CONFIG, np.random.default_rng(0), RunOptions(tmp_path, on_step=stop_at_4))
    assert (record["steps_done"], record["ended_by"]) == (4, "interrupt")
    resumed = weights_after(lessons, CONFIG, seed=99, folder=tmp_path, resume=True)
    assert same(resumed, weights_after(lessons, CONFIG))


def test_a_second_ctrl_c_does_not_wait(lessons: list[Lesson], tmp_path: Path) -> None:
    class Slow(Policy):
        def score(self, graph: GraphInput, actions: Actions) -> Score:
            by_a_signal()
            return super().score(graph, actions)

    config = replace(CONFIG, imitation_steps=0)
    with pytest.raises(KeyboardInterrupt):
        train(Slow(small_policy().config), lessons, config, np.random.default_rng(0), RunOptions(tmp_path))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert (tmp_path / RUN_FILE).exists()


def test_steps_of_a_run_that_was_killed_before_it_saved_them_leave_the_journal(
    lessons: list[Lesson], tmp_path: Path
) -> None:
    weights_after(lessons, replace(CONFIG, steps=2), folder=tmp_path)
    with (tmp_path / JOURNAL_FILE).open("a") as file:
        file.write('{"step": 2, "imitation_loss": 0.5}\n{"st')
    weights_after(lessons, CONFIG, folder=tmp_path, resume=True)
    assert journal_steps(tmp_path) == list(range(CONFIG.steps))


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
    config = replace(CONFIG, imitation_steps=0, graphs_per_step=3)
    with pytest.raises(TrainingError, match=r"step 0: b on 3 gpus: the loss is nan .* step 0 are kept in .*run\.pt"):
        train(policy, lessons, config, np.random.default_rng(0), RunOptions(tmp_path, checkpoint_seconds=0.0))
    kept = torch.load(tmp_path / RUN_FILE, weights_only=True)["policy"]
    assert all(torch.isfinite(weight).all() for weight in kept.values())


def test_a_run_is_resumed_with_its_own_settings_and_graphs_only(lessons: list[Lesson], tmp_path: Path) -> None:
    weights_after(lessons, replace(CONFIG, steps=1), folder=tmp_path)
    with pytest.raises(UsageError, match="other settings; resume"):
        weights_after(lessons, replace(CONFIG, graphs_per_step=1), folder=tmp_path, resume=True)
    with pytest.raises(UsageError, match="other graphs and other costs; resume"):
        weights_after(lessons[:2], CONFIG, folder=tmp_path, resume=True)
    slower = replace(lessons[0], exercise=replace(lessons[0].exercise, reference_ms=1e3))
    with pytest.raises(UsageError, match="other costs; resume"):
        weights_after([slower, *lessons[1:]], CONFIG, folder=tmp_path, resume=True)


def test_a_run_of_another_version_is_refused_in_one_line(lessons: list[Lesson], tmp_path: Path) -> None:
    weights_after(lessons, replace(CONFIG, steps=1), folder=tmp_path)
    content = torch.load(tmp_path / RUN_FILE, weights_only=True)
    for change, words in (({"format": 99}, r"has format 99, not \d+"), ({"policy": {}}, "is of another version")):
        torch.save({**content, **change}, tmp_path / RUN_FILE)
        with pytest.raises(UsageError, match=rf"^[^\n]*run\.pt {words}[^\n]*$"):
            weights_after(lessons, CONFIG, folder=tmp_path, resume=True)


def test_a_folder_with_a_run_is_not_overwritten(lessons: list[Lesson], tmp_path: Path) -> None:
    weights_after(lessons, replace(CONFIG, steps=1), folder=tmp_path)
    with pytest.raises(UsageError, match="is there already; resume it"):
        weights_after(lessons, CONFIG, folder=tmp_path)


def test_files_that_are_no_run_are_refused_in_one_line(lessons: list[Lesson], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run to resume"):
        weights_after(lessons, CONFIG, folder=tmp_path, resume=True)
    (tmp_path / RUN_FILE).write_bytes(b"something else")
    with pytest.raises(UsageError, match=r"^[^\n]*is no training run[^\n]*$"):
        weights_after(lessons, CONFIG, folder=tmp_path, resume=True)


def test_graphs_need_names_of_their_own(lessons: list[Lesson]) -> None:
    with pytest.raises(UsageError, match="2 graphs are called 'a on 2 gpus'"):
        weights_after([lessons[0], lessons[1], lessons[0]], CONFIG)
    with pytest.raises(UsageError, match="no graph to learn from"):
        weights_after([], CONFIG)


def test_a_folder_that_cannot_be_written_is_named(lessons: list[Lesson], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot make the folder .*file/run \(Not a directory\)"):
        weights_after(lessons, CONFIG, folder=tmp_path / "file" / "run")
