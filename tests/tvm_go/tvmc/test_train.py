"""`tvm-go train` writes a policy that `tvm-go place` uses, and says in one clear line what is wrong."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from cost_model.dataset import dataset
from cost_model.regressor import CostModel
from tests.cost_model.test_predictor import records
from tests.models import write_small_onnx, write_tiny_onnx
from tests.tvm_go.learn.cases import chains
from tests.tvm_go.tvmc.command import Running
from tvm_go import GraphPlan, training_fusion, training_placement
from tvm_go.learn.journal import JOURNAL_FILE
from tvm_go.learn.run import RUN_FILE
from tvm_go.policy import Actions, GraphInput, Policy, PolicyConfig, Score, load_policy
from tvm_go.simulate import workload_file
from tvm_go.tvmc.main import main

MACHINE = "".join(f'[[device]]\nname = "{name}"\nkind = "gpu"\n' for name in "abc") + "[every_link]\ngb_per_s = 0.001\n"
SMALL = PolicyConfig(width=16, graph_layers=2, heads=2, segment=16, rounds=1)
FULL_POLICY = training_placement.POLICY
OPTIONS = ["--models", "chains.json", "--machine", "box.toml", "--imitation-steps", "2", "--objectives", "latency"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run: a graph of 40 ops and a machine; policies and searches take no time."""
    monkeypatch.setattr(training_placement, "POLICY", SMALL)
    monkeypatch.setattr(training_placement, "TRIED_MOVES", 200)
    monkeypatch.chdir(tmp_path)
    workload_file.write(tmp_path / "chains.json", chains(5, 8, transfer_ms=0.3))
    (tmp_path / "box.toml").write_text(MACHINE)
    return tmp_path


def run(command: str, arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as end:
        main([command, *arguments])
    printed = capfd.readouterr()
    return end.value.code, printed.out, printed.err


def train(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[object, str, str]:
    return run("train", [*OPTIONS, *arguments], capfd)


def test_a_policy_is_trained_resumed_and_used_to_place(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = train(["--steps", "3", "-o", "mine.pt"], capfd)
    assert code == 0, err
    assert out.startswith("mine.pt: 3 steps, reward -") and out.endswith("above the best known\n")
    assert "preparing, graph 0, 0%" in err and "training, step 0, 0%" in err
    code, out, err = train(["--steps", "4", "-o", "mine.pt", "--resume", "--json"], capfd)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["policy_path"], found["tasks"]) == ("mine.pt", ["placement"])
    assert (found["steps"], found["ended_by"], found["imitation_loss"]) == (4, "steps", None)
    assert found["reward"] < 0 and found["gap"] >= 0
    steps = [json.loads(line)["step"] for line in (folder / "mine.run" / JOURNAL_FILE).read_text().splitlines()]
    assert steps == [0, 1, 2, 3]
    options = ["--objective", "latency", "--machine", "box.toml", "--budget", "100", "--json", "--policy", "mine.pt"]
    code, out, err = run("place", ["chains.json", *options], capfd)
    assert (code, err) == (0, "")
    placed = json.loads(out)
    assert (placed["strategy"], placed["feasible"], placed["evaluations"] <= 100) == ("go", True, True)


def test_a_policy_that_fuses_is_trained_resumed_and_used_to_tune(
    folder: Path, log: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_fusion, "POLICY", PolicyConfig(("fusion",), 16, 2, 2, 16, rounds=1))
    CostModel.fit(dataset(records()), rounds=20, members=2, networks=1, epochs=2).save(folder / "cost.model")
    write_small_onnx(folder / "small.onnx")
    write_tiny_onnx(folder / "tiny.onnx")
    options = ["--tasks", "fusion", "--models", "small.onnx", "tiny.onnx", "--cost-model", "cost.model"]
    options += ["--forms", "0", "-o", "mine.pt"]
    code, out, err = run("train", [*options, "--log", str(log), "--steps", "2", "--imitation-steps", "2"], capfd)
    assert code == 0, err
    assert out.startswith("mine.pt: 2 steps, imitation loss ")
    assert out.endswith("x TVM's default by expectation\n")
    assert "preparing, graph 0, 0%" in err and "training, step 0, 0%" in err
    more = ["--log", str(log), "--steps", "3", "--imitation-steps", "2", "--resume", "--json"]
    code, out, err = run("train", [*options, *more], capfd)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["tasks"], found["steps"], found["ended_by"]) == (["fusion"], 3, "steps")
    assert (
        found["reward"] < 0
        and found["gap"] >= 0
        and found["expected_speedup"] > 0
        and set(found["graphs"]) >= {"small.0", "tiny.0"}
    )
    small = ["small.onnx", "--log", str(log), "--budget", "16", "--no-ablation", "--json"]
    code, out, err = run("tune-graph", [*small, "--policy", "mine.pt"], capfd)
    assert code == 0, err
    assert json.loads(out)["verdict"] in ("faster", "same", "slower", "default")
    assert GraphPlan.load(folder / "small.plan.json").provenance["strategy"] == "go"
    code, out, err = run("tune-graph", [*small, "--policy", "mine.pt", "--strategy", "greedy"], capfd)
    assert (code, out) == (2, "")
    assert "strategy 'greedy' uses no policy; choose 'go' for that" in err


def test_quiet_prints_the_verdict_only_and_figures_are_written_where_they_are_wanted(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    code, out, err = train(["--steps", "3", "--tasks", "placement", "--quiet", "--tensorboard", "b"], capfd)
    assert (code, err, len(out.splitlines())) == (0, "", 1)
    assert load_policy(folder / "policy.pt", ("placement",)).record["steps_done"] == 3
    (curves,) = (folder / "b").iterdir()
    assert curves.name.startswith("policy-2") and any(curves.iterdir())


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--models nothere.json", ["'nothere.json' is neither a graph file nor a family", "rnnlm"]),
        ("--machine nothere.toml", ["nothere.toml: cannot be read"]),
        ("--models rnnlm", ["box.toml is for graph files"]),
        ("--tasks tiling", ["unknown task 'tiling'; choose from placement, fusion"]),
        ("--minutes 0", ["minutes are 0", "more than 0"]),
        ("--steps 0", ["steps are 0", "at least 1"]),
        ("--models rnnlm chains.json --devices 1", ["devices are 1", "nothing to decide"]),
        ("--models rnnlm chains.json --ops 30 40", ["ops are too few for a whole model", "at least 100"]),
        ("-o nofolder/p.pt", ["cannot write the policy to 'nofolder/p.pt'", "existing folder with -o"]),
        ("-o chains.json/p.pt", ["cannot write the policy", "Not a directory"]),
        ("-o .", ["cannot write the policy to '.' (it is a folder)"]),
        ("--resume", ["policy.run/run.pt is not there", "no run to resume"]),
        ("--tensorboard chains.json", ["cannot write for TensorBoard to 'chains.json'"]),
    ],
)
def test_wrong_options(options: str, parts: list[str], folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = train(["--steps", "1", *options.split(), "--json"], capfd)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith("tvm-go: error: ")
    assert [part for part in parts if part not in err] == [], err
    assert not (folder / "policy.pt").exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--tasks fusion --models rnnlm", ["'rnnlm' is a family of graphs", "fusion is learned from models"]),
        ("--tasks fusion --models chains.json", ["cannot tell the format of 'chains.json'"]),
        ("--tasks fusion --models none.onnx", ["there is no model file 'none.onnx'"]),
        ("--tasks fusion --models small.onnx other/small.onnx", ["two of the models are called 'small'"]),
        ("--tasks fusion --models small.onnx --ops 100 200", ["ops is for the task placement, not for fusion"]),
        ("--tasks fusion --models small.onnx --log none.jsonl", ["there is no log none.jsonl"]),
        ("--tasks fusion --models small.onnx --target llvm", ["no cost model ships for 'llvm"]),
        ("--tasks fusion,placement --models small.onnx", ["fusion and placement are learned from different things"]),
        ("--models small.onnx rnnlm", ["'small.onnx' is a model, for --tasks fusion"]),
        ("--models rnnlm --forms 2", ["forms is for the task fusion, not for placement"]),
        ("--models rnnlm --model-format onnx", ["--model-format is for the models of --tasks fusion"]),
    ],
)
def test_what_belongs_to_another_task_is_refused(
    options: str, parts: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_small_onnx(folder / "small.onnx")
    code, out, err = run("train", ["--steps", "1", *options.split(), "--json"], capfd)
    assert (out, len(err.splitlines())) == ("", 1), err
    assert code in (1, 2)
    assert [part for part in parts if part not in err] == [], err


def test_an_empty_graph_and_a_file_that_holds_none_are_named(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = {"format": workload_file.FORMAT, "ids": [], "ms": {"gpu": []}, "output_bytes": []}
    (folder / "empty.json").write_text(json.dumps({**content, "edges": {"from": [], "to": []}}))
    code, out, err = train(["--models", "empty.json", "--json"], capfd)
    assert (code, out, err) == (
        2,
        "",
        "tvm-go: error: empty.json: the graph is empty, there is nothing to learn from it; leave it out\n",
    )
    (folder / "text.json").write_text("{")
    code, out, err = train(["--models", "text.json", "--json"], capfd)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "text.json: not JSON" in err


def test_a_loss_that_is_not_a_number_names_the_graph_and_keeps_the_run(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(["--steps", "3", "--quiet"], capfd)[0] == 0
    before = (folder / "policy.pt").read_bytes()
    score = Policy.score

    def broken(policy: Policy, graph: GraphInput, actions: Actions) -> Score:
        found = score(policy, graph, actions)
        return found._replace(value=found.value * np.nan)

    monkeypatch.setattr(Policy, "score", broken)
    code, out, err = train(["--steps", "9", "--resume", "--json"], capfd)
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert "step 3: chains on box" in err and "the loss is nan" in err
    assert "the weights of step 3 are kept in policy.run/run.pt" in err
    kept = torch.load(folder / "policy.run" / RUN_FILE, weights_only=True)["policy"]
    assert all(torch.isfinite(weight).all() for weight in kept.values())
    assert (folder / "policy.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "is a checkpoint of format 99, this version reads format"),
        ({"weights": {}}, "mine.pt is damaged"),
        (None, "mine.pt is damaged or not a checkpoint"),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused_before_anything_is_searched(
    change: dict[str, object] | None, words: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(["--steps", "1", "--quiet", "-o", "mine.pt"], capfd)[0] == 0
    mine = folder / "mine.pt"
    if change is None:
        mine.write_bytes(mine.read_bytes()[:1000])
    else:
        torch.save({**torch.load(mine, weights_only=True), **change}, mine)
    options = ["chains.json", "--machine", "box.toml", "--objective", "latency", "--strategy", "go"]
    code, out, err = run("place", [*options, "--policy", "mine.pt"], capfd)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert words in err
    code, out, err = run("place", [*options, "--policy", "missing.pt"], capfd)
    assert (code, out) == (2, "")
    assert "cannot read missing.pt: No such file or directory" in err


def test_a_policy_for_other_tasks_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from tvm_go.policy import Checkpoint, save_policy

    save_policy(Checkpoint(Policy(PolicyConfig(("schedule",), width=16, heads=2))), folder / "order.pt")
    write_small_onnx(folder / "small.onnx")
    code, out, err = run("tune-graph", ["small.onnx", "--policy", "order.pt"], capfd)
    assert (code, out) == (2, "")
    assert "order.pt decides schedule, not fusion; train a policy with --tasks fusion" in err
    options = ["chains.json", "--machine", "box.toml", "--objective", "latency", "--policy", "order.pt"]
    code, out, err = run("place", options, capfd)
    assert (code, out) == (2, "")
    assert "order.pt decides schedule, not placement; train a policy with --tasks placement" in err
    code, out, err = run("place", [*options, "--strategy", "hdp"], capfd)
    assert (code, out) == (2, "")
    assert "--policy is for --strategy go, not hdp" in err


def test_ctrl_c_saves_and_says_how_to_go_on(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running("train", *OPTIONS, "--minutes", "60", cwd=folder)
    running.wait_until(lambda text: "training, step" in text)
    journal = folder / "policy.run" / JOURNAL_FILE
    running.wait_until(lambda _: journal.exists() and journal.stat().st_size > 0)
    running.process.send_signal(signal.SIGINT)
    outcome = running.finish()
    assert outcome.status == 130, outcome.stderr
    assert outcome.error == (
        "tvm-go: interrupted: the policy so far is in policy.pt; the same command with --resume goes on"
    )
    steps = len(journal.read_text().splitlines())
    assert outcome.stdout.startswith(f"policy.pt: {steps} steps, ")
    assert load_policy(folder / "policy.pt").record["ended_by"] == "interrupt"
    monkeypatch.setattr(training_placement, "POLICY", FULL_POLICY)
    code, out, err = train(["--steps", str(steps + 1), "--resume", "--json"], capfd)
    assert (code, err) == (0, "")
    assert json.loads(out)["steps"] == steps + 1
