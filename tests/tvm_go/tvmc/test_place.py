"""`tvm-go place` writes a split that scores what it says, and says in one clear line what is wrong."""

from __future__ import annotations

import copy
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tvm_go.tvmc.command import Running, tvm_go
from tvm_go.simulate import dnn_partitioning, split_scores, workload_file
from tvm_go.tvmc.main import main

_MACHINE = """
[[device]]
name = "host"
kind = "cpu"

[[device]]
name = "gpu"
kind = "accelerator"
memory_gib = 1

[every_link]
gb_per_s = 10
"""


def _graph(count: int = 12) -> dict[str, Any]:
    nodes = [
        {"id": i, "supportedOnFpga": True, "cpuLatency": 10.0, "fpgaLatency": 1.0 + i % 3, "size": 10.0}
        for i in range(count)
    ]
    edges = [{"sourceId": i, "destId": j, "cost": 0.25} for i in range(count) for j in (i + 1, i + 3) if j < count]
    return {"maxFPGAs": 2, "maxSizePerFPGA": 100.0, "maxCPUs": 1, "nodes": nodes, "edges": edges}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(_graph()))
    return path


def _run(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["place", *arguments])
    printed = capfd.readouterr()
    return end.value.code, printed.out, printed.err


def _score(graph: Path, split: Path, objective: str) -> float:
    workload, machine = dnn_partitioning.read(graph)
    content = json.loads(split.read_text())
    of_node = {node: 0 for one in content["cpus"] for node in one["nodes"]}
    of_node |= {node: i for i, one in enumerate(content["fpgas"], start=1) for node in one["nodes"]}
    device = np.array([[of_node[op] for op in workload.op_ids]], dtype=np.int32)
    return float(getattr(split_scores, objective)(workload, machine, device)[0])


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_the_split_scores_what_the_one_json_object_says(objective: str, graph: Path, tmp_path: Path) -> None:
    done = tvm_go("place", graph, "--objective", objective, "--seconds", "4", "--json", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    split = tmp_path / "graph.split.json"
    assert found["split_path"] == split.name
    assert found["objective"] == pytest.approx(_score(graph, split, objective))
    assert found["lower_bound"] <= found["objective"] * (1 + 1e-9)
    assert (found["strategy"], found["objective_name"], found["feasible"]) == ("portfolio", objective, True)
    assert found["evaluations"] > 0
    assert found["seconds"] > 0
    values = [value for value in found["baselines"].values() if value is not None]
    assert min(values) >= found["objective"]
    assert {"single", "round_robin", "expert", "critical_path", "m_etf"} <= set(found["baselines"])
    assert sum(found["devices"].values()) == 12


def test_a_table_compares_baselines_and_the_bound(
    graph: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--objective", "throughput", "--budget", "5000", "-o", str(tmp_path / "s.json")]
    code, out, _ = _run([str(graph), *options], capfd)
    assert code == 0
    for word in ("portfolio", "lower bound", "expert", "critical_path", "s.json"):
        assert word in out
    code, out, err = _run([str(graph), *options, "--quiet"], capfd)
    assert (code, err, len(out.splitlines())) == (0, "", 1)
    assert out.startswith("throughput ")


def test_the_same_seed_and_budget_write_the_same_split(
    graph: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    splits = [tmp_path / name for name in ("a.json", "b.json")]
    for split in splits:
        options = ["--objective", "latency", "--budget", "3000", "--seed", "7", "--quiet", "-o", str(split)]
        assert _run([str(graph), *options], capfd)[0] == 0
    assert splits[0].read_bytes() == splits[1].read_bytes()


def test_a_graph_without_a_machine_is_placed_on_one_from_a_file(
    graph: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ours, machine, split = tmp_path / "ours.json", tmp_path / "box.toml", tmp_path / "s.json"
    workload_file.write(ours, dnn_partitioning.read(graph)[0])
    machine.write_text(_MACHINE)
    options = ["--objective", "latency", "--budget", "500", "-o", str(split), "--json"]
    code, _, err = _run([str(ours), *options], capfd)
    assert (code, "--machine" in err) == (2, True), err
    code, out, err = _run([str(ours), *options, "--machine", str(machine)], capfd)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["simulated"], set(found["devices"])) == ("concurrent", {"host", "gpu"})
    assert sum(len(one["nodes"]) for ones in json.loads(split.read_text()).values() for one in ones) == 12


Change = Callable[[dict[str, Any]], object]

_BAD_GRAPHS: dict[str, tuple[Change, list[str]]] = {
    "cycle": (lambda g: g["edges"].append({"sourceId": 5, "destId": 0, "cost": 1}), ["cycle", "break"]),
    "unknown": (lambda g: g["edges"].append({"sourceId": 77, "destId": 0, "cost": 1}), ["77", "not among"]),
    "negative": (lambda g: g["nodes"][3].update(cpuLatency=-1), ["cpuLatency", "node 3", "-1"]),
    "nan": (lambda g: g["nodes"][3].update(fpgaLatency=float("nan")), ["fpgaLatency", "node 3", "nan"]),
    "edge": (lambda g: g["edges"][0].update(cost=-2), ["cost", "-2"]),
    "twice": (lambda g: g["nodes"][3].update(id=2), ["2", "twice"]),
    "empty": (lambda g: g.clear(), ["'nodes'"]),
}


@pytest.mark.parametrize("name", _BAD_GRAPHS)
def test_bad_graphs(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, parts = _BAD_GRAPHS[name]
    content = copy.deepcopy(_graph())
    change(content)
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(content))
    split = tmp_path / "s.json"
    code, out, err = _run([str(path), "--objective", "latency", "--json", "-o", str(split)], capfd)
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert err.startswith("tvm-go: error: ")
    assert [part for part in parts if part not in err] == [], err
    assert not split.exists()


_INFEASIBLE: dict[str, tuple[Change, list[str]]] = {
    "op": (lambda w: w["ms"].update(gpu=[None, 1, 1, 1]), ["op 0", "runs on no device"]),
    "class": (lambda w: w["resident_bytes"].__setitem__(1, 2**40), ["infeasible", "op 1", "memory"]),
    "total": (lambda w: w.update(resident_bytes=[0.9 * 2**30] * 4), ["infeasible", "more memory"]),
    "pieces": (lambda w: w.update(resident_bytes=[0.6 * 2**30] * 3 + [0]), ["no feasible placement", "90%"]),
}


@pytest.mark.parametrize("name", _INFEASIBLE)
def test_infeasible_is_called_so_with_its_reason(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, parts = _INFEASIBLE[name]
    content = {
        "format": workload_file.FORMAT,
        "name": "net",
        "ids": [0, 1, 2, 3],
        "ms": {"gpu": [1, 1, 1, 1]},
        "resident_bytes": [0, 0, 0, 0],
        "output_bytes": [1, 1, 1, 1],
        "colocation": [None, None, None, None],
        "edges": {"from": [0, 1, 2], "to": [1, 2, 3]},
    }
    change(content)
    (tmp_path / "net.json").write_text(json.dumps(content))
    gpus = [f'[[device]]\nname = "g{i}"\nkind = "gpu"\nmemory_gib = 1\n' for i in (0, 1)]
    (tmp_path / "box.toml").write_text("\n".join(gpus) + "[every_link]\ngb_per_s = 10\n")
    options = ["--objective", "latency", "--machine", str(tmp_path / "box.toml"), "--seconds", "2"]
    code, out, err = _run([str(tmp_path / "net.json"), *options, "--json", "-o", str(tmp_path / "s.json")], capfd)
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert [part for part in parts if part not in err] == [], err
    assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--objective latency --seconds 0", ["--seconds is 0", "more than 0"]),
        ("--objective latency --seconds nan", ["--seconds is nan"]),
        ("--objective latency --seconds inf", ["--seconds is inf", "--budget"]),
        ("--objective latency --budget 0", ["--budget is 0", "1 or more"]),
        ("--objective latency --seed -1", ["--seed is -1", "0 or more"]),
        ("--objective latency --machine nothere.toml", ["nothere.toml", "cannot be read"]),
        ("--objective latency -o nofolder/s.json", ["nofolder", "existing folder with -o"]),
    ],
)
def test_options(options: str, parts: list[str], graph: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run([str(graph), *options.split()], capfd)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert [part for part in parts if part not in err] == [], err


def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    done = tvm_go("place", "nothere.json", "--objective", "latency", cwd=tmp_path)
    assert (done.status, done.stdout) == (2, "")
    assert "nothere.json: cannot be read" in done.error


@pytest.mark.parametrize("options", [[], ["--objective", "speed"], ["--objective", "latency", "--strategy", "magic"]])
def test_wrong_choices_are_named_below_a_short_usage(
    options: list[str], graph: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run([str(graph), *options], capfd)
    usage, error = err.splitlines()
    assert (code, out) == (2, "")
    assert usage.startswith("usage: tvm-go place GRAPH.json")
    assert (options[-2] if options else "--objective") in error


def test_help_fits_a_screen_and_shows_an_example(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = _run(["--help"], capfd)[1].splitlines()
    assert 24 <= len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert any("tvm-go place bert24_inference.json" in line for line in lines)


def test_ctrl_c_keeps_the_best_so_far(tmp_path: Path) -> None:
    (tmp_path / "graph.json").write_text(json.dumps(_graph(200)))
    running = Running("place", "graph.json", "--objective", "latency", "--seconds", "600", cwd=tmp_path)
    running.wait_until(lambda text: "best" in text)
    running.process.send_signal(signal.SIGINT)
    outcome = running.finish()
    assert outcome.status == 130, outcome.stderr
    assert "the best placement so far is in graph.split.json" in outcome.error
    value = float(outcome.stdout.splitlines()[-1].split()[1])
    assert _score(tmp_path / "graph.json", tmp_path / "graph.split.json", "latency") == pytest.approx(value, abs=1e-3)
