"""Checkpoints come back as they went, or say in one line why not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tvm_go.policy.drawn import SMALL, generator, random_input
from tvm_go.errors import UsageError
from tvm_go.policy import Checkpoint, Policy, load_policy, save_policy
from tvm_go.policy.checkpoint import FORMAT


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.pt"
    record = {"graphs": ["gpt-200", "rnnlm-300"], "seed": 3, "curve": [0.5, 0.25]}
    state = {"step": 7, "moments": {"0": torch.ones(3)}}
    save_policy(Checkpoint(Policy(replace(SMALL, attention=False), seed=3), record, state), path)
    return path


def altered(saved: Path, **changes: object) -> Path:
    content = torch.load(saved, weights_only=True)
    path = saved.with_name("altered.pt")
    torch.save({**content, **changes}, path)
    return path


def test_a_loaded_policy_is_the_one_that_was_saved(saved: Path) -> None:
    loaded = load_policy(saved, tasks=["schedule"])
    whole = Policy(replace(SMALL, attention=False), seed=3)
    graph = random_input(0)
    assert loaded.policy.config == whole.config
    assert torch.equal(loaded.policy.act(graph, 2, generator()).log_prob, whole.act(graph, 2, generator()).log_prob)
    assert loaded.record == {"graphs": ["gpt-200", "rnnlm-300"], "seed": 3, "curve": [0.5, 0.25]}
    assert loaded.state["step"] == 7 and torch.equal(loaded.state["moments"]["0"], torch.ones(3))


def test_another_format_is_named(saved: Path) -> None:
    with pytest.raises(UsageError, match=f"of format 99, this version reads format {FORMAT}; train it again"):
        load_policy(altered(saved, format=99))


def test_other_tasks_are_named(saved: Path) -> None:
    with pytest.raises(UsageError, match="decides placement, schedule, not fusion; train a policy"):
        load_policy(saved, tasks=["placement", "fusion"])


@pytest.mark.parametrize("kept", [0, 10, 1000, -100])
def test_a_file_that_was_cut_short_is_called_damaged(saved: Path, kept: int) -> None:
    path = saved.with_name("cut.pt")
    path.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(UsageError, match=r"cut\.pt is damaged"):
        load_policy(path)


def test_weights_of_another_shape_are_called_damaged(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    config = {**json.loads(content["config"]), "width": 32}
    changes: list[dict[str, object]] = [{"config": json.dumps(config)}, {"config": "{"}, {"weights": {}}]
    for change in changes:
        path = altered(saved, **change)
        with pytest.raises(UsageError, match=r"is damaged: .*; copy or train it again") as caught:
            load_policy(path)
        assert "\n" not in str(caught.value)


def test_other_files_are_refused(saved: Path) -> None:
    text, numbers = saved.with_name("text.pt"), saved.with_name("numbers.pt")
    text.write_text("a policy\n")
    torch.save([1, 2], numbers)
    for path in (text, numbers):
        with pytest.raises(UsageError, match="not a checkpoint"):
            load_policy(path)
    with pytest.raises(UsageError, match=r"cannot read .*No such file"):
        load_policy(saved.with_name("missing.pt"))


def test_a_file_that_would_run_code_is_refused(saved: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1 / 0",)

    path = saved.with_name("code.pt")
    torch.save({"format": FORMAT, "config": Runs()}, path)
    with pytest.raises(UsageError, match="damaged or not a checkpoint"):
        load_policy(path)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*No such file or directory"):
        save_policy(Checkpoint(Policy(SMALL)), tmp_path / "missing" / "policy.pt")
