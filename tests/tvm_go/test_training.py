"""Policies are trained on families of graphs and on graph files, the same ones by the same seed, and can be resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tvm_go.learn.cases import chains
from tvm_go import training_placement
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.learn.journal import JOURNAL_FILE
from tvm_go.learn.run import RUN_FILE
from tvm_go.placing import place
from tvm_go.policy import Checkpoint, PolicyConfig, load_policy
from tvm_go.search.placement import PlacementBudget
from tvm_go.simulate import workload_file
from tvm_go.simulate.machine_file import read as read_machine
from tvm_go.training import TrainProgress, recent, train

GPUS = '[[device]]\nname = "{}"\nkind = "gpu"\n'
SMALL = PolicyConfig(width=16, graph_layers=2, heads=2, segment=16, rounds=1)
LINKS = "[every_link]\ngb_per_s = 0.001\n"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies and searches that take no time."""
    monkeypatch.setattr(training_placement, "POLICY", SMALL)
    monkeypatch.setattr(training_placement, "TRIED_MOVES", 200)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A file of 40 ops in five chains."""
    workload_file.write(tmp_path / "chains.json", chains(5, 8, transfer_ms=0.3))
    return tmp_path / "chains.json"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A machine of two devices that runs it."""
    path = tmp_path / "box.toml"
    path.write_text("".join(GPUS.format(name) for name in "abc") + LINKS)
    return path


def trained(graph: Path, box: Path, **changes: Any) -> Checkpoint:
    options = {"machine": box, "objectives": ["latency"], "steps": 6, "imitation_steps": 3}
    return train([graph], **{**options, **changes})


def weights(checkpoint: Checkpoint) -> list[torch.Tensor]:
    return list(checkpoint.policy.state_dict().values())


def test_a_policy_of_graph_files_carries_its_record_and_places_other_graphs(graph: Path, box: Path) -> None:
    output = graph.with_name("policy.pt")
    returned = trained(graph, box, output=output)
    loaded = load_policy(output, ("placement",))
    assert all(torch.equal(a, b) for a, b in zip(weights(returned), weights(loaded), strict=True))
    assert loaded.record == json.loads(json.dumps(returned.record))
    assert loaded.record["models"] == [str(graph)]
    assert (loaded.record["seed"], loaded.record["steps_done"], loaded.record["ended_by"]) == (0, 6, "steps")
    assert all("chains on box" in name for name in loaded.record["graphs"])
    assert {path.name for path in graph.with_name("policy.run").iterdir()} == {RUN_FILE, JOURNAL_FILE}
    other, machine = chains(2, 10), read_machine(box)
    found = place(other, machine, "concurrent", strategy="go", policy=loaded.policy, budget=PlacementBudget(100))
    assert found.feasible and found.evaluations <= 100


def test_families_are_drawn_on_machines_of_the_given_sizes_and_stand_beside_graph_files(graph: Path, box: Path) -> None:
    checkpoint = train(["rnnlm", graph, "gpt"], machine=box, graphs=4, devices=[3], ops=(100, 120), steps=1)
    graphs = " ".join(checkpoint.record["graphs"])
    assert all(
        name in graphs
        for name in ("rnnlm", "gpt", "on 3 ", "under throughput", "under concurrent", "chains on box under concurrent")
    ), graphs


def test_the_same_seed_gives_the_same_policy_and_another_seed_another(graph: Path, box: Path) -> None:
    one, again, other = (weights(trained(graph, box, seed=seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_interrupted_training_returns_what_it_has_and_resumed_gives_the_policy_of_one_that_was_not(
    graph: Path, box: Path
) -> None:
    def stop_at_4(progress: TrainProgress) -> None:
        if (progress.stage, progress.done) == ("train", 4):
            raise KeyboardInterrupt

    output = graph.with_name("policy.pt")
    stopped = trained(graph, box, output=output, on_progress=stop_at_4)
    assert (stopped.record["steps_done"], stopped.record["ended_by"]) == (4, "interrupt")
    resumed = trained(graph, box, output=output, resume=True)
    whole = trained(graph, box)
    assert all(torch.equal(a, b) for a, b in zip(weights(resumed), weights(whole), strict=True))
    assert resumed.record["curve"] == whole.record["curve"]


def test_progress_tells_of_all_graphs_and_steps_and_how_far_they_are(graph: Path, box: Path) -> None:
    told: list[TrainProgress] = []
    trained(graph, box, on_progress=told.append)
    assert [(one.stage, one.done) for one in told] == [("prepare", 0), *(("train", step) for step in range(7))]
    assert [one.share for one in told[1:]] == pytest.approx([step / 6 for step in range(7)])
    assert set(recent(told[3].rows)) == {"imitation_loss"}
    assert set(recent(told[7].rows)) == {"reward", "gap"}


def test_time_ends_a_training_that_has_steps_left(graph: Path, box: Path) -> None:
    assert trained(graph, box, steps=10**6, minutes=1e-9).record["ended_by"] == "time"


def test_recent_means_are_those_of_the_last_rows_of_the_newest_kind() -> None:
    curve = [{"imitation_loss": 3.0}] * 5 + [{"reward": -2.0, "gap/a": 9.0}] * 5
    curve += [{"reward": -1.0, "gap/a": 1.0, "gap/b": 2.0}] * 20
    assert recent(curve) == {"reward": -1.0, "gap": 1.5}
    assert recent([]) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": ["placement", "schedule"]}, "unknown task 'schedule'; choose from placement, fusion"),
        ({"tasks": ["placement", "fusion"]}, "placement and fusion are learned from different things"),
        ({"tasks": []}, "there is no task; give placement or fusion"),
        ({"tasks": ["fusion"]}, "machine is for the task placement, not for fusion; leave it out"),
        ({"tasks": ["fusion"], "machine": None}, "fusion is learned from models: give them by name"),
        ({"cost_model": "shipped"}, "cost-model is for the task fusion, not for placement; leave it out"),
        ({"models": {"a": None}}, "placement is learned from graphs with known costs"),
        ({"minutes": 0.0}, "minutes are 0; give more than 0"),
        ({"minutes": float("nan")}, "minutes are nan"),
        ({"steps": 0}, "steps are 0; give at least 1"),
        ({"imitation_steps": -1}, "imitation steps is -1; give 0 or more"),
        ({"seed": -1}, "the seed is -1; give 0 or more"),
        ({"objectives": []}, "there is no objective; give throughput, latency, or both"),
        ({"objectives": ["speed"]}, "unknown objective 'speed'; choose from throughput, latency"),
        ({"machine": None}, "chains.json says nothing of a machine; give one with --machine"),
        ({"models": ["resnet"]}, "'resnet' is neither a graph file nor a family of graphs .rnnlm, gnmt,"),
        ({"models": ["rnnlm"]}, "box.toml is for graph files, and none is given"),
        ({"models": []}, "box.toml is for graph files, and none is given"),
        ({"models": [], "machine": None}, "there is nothing to learn from 0 graphs"),
        ({"models": ["rnnlm"], "machine": None, "devices": [2, 1]}, "devices are 2, 1; with fewer than 2"),
        ({"models": ["rnnlm"], "machine": None, "devices": []}, "devices are none"),
        ({"models": ["rnnlm"], "machine": None, "graphs": 0}, "0 graphs are asked for"),
        ({"models": ["rnnlm"], "machine": None, "ops": (30, 40)}, "ask for at least 100"),
        ({"models": ["rnnlm"], "machine": None, "ops": (300, 200)}, "ops are from 300 to 200; give the smaller"),
        ({"output": "nothing.pt", "resume": True}, "nothing.run/run.pt is not there: there is no run to resume"),
    ],
)
def test_wrong_use_is_one_clear_line(
    changes: dict[str, Any], words: str, graph: Path, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(graph.parent)
    with pytest.raises(UsageError, match=words) as caught:
        train(**{"models": [graph], "machine": box, "steps": 1, **changes})
    assert "\n" not in str(caught.value)


def test_one_device_no_ops_and_ops_that_run_nowhere_are_refused(graph: Path, box: Path) -> None:
    single, cpu, empty = graph.with_name("one.toml"), graph.with_name("cpu.toml"), graph.with_name("empty.json")
    single.write_text(GPUS.format("a") + LINKS)
    with pytest.raises(UsageError, match="one has one device: there is nothing to decide; give at least two"):
        trained(graph, single)
    cpu.write_text((GPUS.format("a") + GPUS.format("b") + LINKS).replace('"gpu"', '"tpu"'))
    with pytest.raises(UnsupportedModelError, match="tpu"):
        trained(graph, cpu)
    empty.write_text(
        json.dumps(
            {
                "format": workload_file.FORMAT,
                "ids": [],
                "ms": {"gpu": []},
                "output_bytes": [],
                "edges": {"from": [], "to": []},
            }
        )
    )
    with pytest.raises(UsageError, match=r"empty\.json: the graph is empty"):
        trained(empty, box)


def test_an_output_that_cannot_be_written_is_said_before_anything_is_learned(graph: Path, box: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; name the file"):
        trained(graph, box, output=graph.parent)
    with pytest.raises(UsageError, match=r"cannot make the folder .*\(Not a directory\)"):
        trained(graph, box, output=graph / "policy.pt")


def test_a_run_that_is_there_is_not_begun_anew(graph: Path, box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = graph.with_name("policy.pt")
    trained(graph, box, output=output, steps=1)
    before = output.read_bytes()
    with pytest.raises(UsageError, match=r"policy\.run/run\.pt is there already; resume it"):
        trained(graph, box, output=output)
    monkeypatch.setattr(training_placement, "POLICY", PolicyConfig(width=8, heads=2, rounds=1))
    with pytest.raises(UsageError, match="started with other settings and other policy; resume it with the same"):
        trained(graph, box, output=output, resume=True, imitation_steps=0)
    assert output.read_bytes() == before


def test_a_policy_is_for_the_strategy_go_alone(graph: Path, box: Path) -> None:
    policy = trained(graph, box, steps=1).policy
    with pytest.raises(UsageError, match="strategy 'annealing' uses no policy; choose 'go' for that"):
        place(chains(), read_machine(box), "concurrent", strategy="annealing", policy=policy)


def test_figures_that_are_not_whole_are_warned_of(
    graph: Path, box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_board = pytest.importorskip("torch.utils.tensorboard")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch_board.SummaryWriter, "add_scalar", full)
    with pytest.warns(UserWarning, match="the figures for TensorBoard are not whole .No space left on device: "):
        assert trained(graph, box, tensorboard=tmp_path / "board").record["steps_done"] == 6
