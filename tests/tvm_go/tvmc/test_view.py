"""`tvm-go view` writes a page of what tune-graph and place write, and says in one clear line what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models import write_small_onnx
from tests.tuned import Tuned
from tests.tvm_go.report.plans import plan_of, rows_in, scene_in
from tests.tvm_go.tvmc.command import tvm_go
from tests.tvm_go.tvmc.test_place import _graph
from tvm_go import GraphPlan
from tvm_go.simulate import dnn_partitioning
from tvm_go.tvmc.main import main


def _view(arguments: list[Any], capfd: pytest.CaptureFixture[str]) -> tuple[object, str]:
    with pytest.raises(SystemExit) as end:
        main(["view", *map(str, arguments)])
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err
    return end.value.code, printed.out + printed.err


def _without_details(path: Path, target: Path) -> Path:
    data = json.loads(path.read_text())
    del data["details"]
    target.write_text(json.dumps(data))
    return target


def test_a_tuned_plan_is_shown_with_its_measured_times(tuned: Tuned, tmp_path: Path) -> None:
    plan_path = tuned.plan
    done = tvm_go("view", plan_path, cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("small.plan.html: ")
    html = (tmp_path / "small.plan.html").read_text()
    details = GraphPlan.load(plan_path).details
    assert details is not None
    rows = rows_in(html, "kernel-table")
    assert {row[6] for row in rows} <= {"measured", "free", "predicted"}
    assert sum(float(row[4]) for row in rows) == pytest.approx(details.ms.sum(), rel=1e-2)
    lines = {line["ops"]: line["ms"] for line in tuned.json["kernels"]}
    assert set(np.round(details.ms[details.ms > 0], 9)) == {round(ms, 9) for ms in lines.values()} | set(
        np.round([line["ms"] for line in tuned.json["kernels"]], 9)
    )


def test_an_older_plan_is_shown_with_its_model_and_log(tuned: Tuned, models: Path, tmp_path: Path) -> None:
    plan_path = tuned.plan
    old = _without_details(plan_path, tmp_path / "old.json")
    log = tuned.log
    done = tvm_go("view", old, "--model", models / "small.onnx", "--log", log, "-o", "old.html", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    done = tvm_go("view", plan_path, "-o", "new.html", cwd=tmp_path)
    assert done.status == 0
    old_arrays, new_arrays = (scene_in((tmp_path / name).read_text())[1] for name in ("old.html", "new.html"))
    assert old_arrays.keys() == new_arrays.keys()
    for name, array in new_arrays.items():
        np.testing.assert_array_equal(old_arrays[name], array, err_msg=name)


def test_a_split_is_shown_on_its_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(_graph()))
    workload, machine = dnn_partitioning.read(graph)
    for name, device in (("a", np.arange(12) % 3), ("b", np.ones(12))):
        dnn_partitioning.write_split(tmp_path / f"{name}.json", workload, machine, device.astype(np.int32))
    output = tmp_path / "a.html"
    arguments = [tmp_path / "a.json", "--model", graph, "--against", tmp_path / "b.json", "-o", output]
    assert _view(arguments, capfd)[0] == 0
    texts, arrays = scene_in(output.read_text())
    assert arrays["device"].tolist() == (np.arange(12) % 3).tolist()
    assert [texts["kinds"][kind] == "moved" for kind in arrays["change"]] == (np.arange(12) % 3 != 1).tolist()


def test_what_is_wrong_is_one_clear_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan, other = tmp_path / "plan.json", tmp_path / "other.json"
    plan_of(40, seed=1).save(plan)
    plan_of(40, seed=2).save(other)
    old = _without_details(plan, tmp_path / "old.json")
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps({**json.loads(plan.read_text()), "version": 99}))
    text = tmp_path / "text.json"
    text.write_text("hello")
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(_graph()))
    split, torn = tmp_path / "split.json", tmp_path / "torn.json"
    workload, machine = dnn_partitioning.read(graph)
    dnn_partitioning.write_split(split, workload, machine, np.ones(12, dtype=np.int32))
    torn.write_text(json.dumps({"fpgas": [{"nodes": [0]}, {"nodes": []}], "cpus": [{"nodes": [99]}]}))
    page = tmp_path / "p.html"
    cases: list[tuple[list[Any], int, str]] = [
        ([tmp_path / "none.json", "-o", page], 1, "cannot read the plan"),
        ([text, "-o", page], 1, "is no tvm-go plan (no JSON"),
        ([graph, "-o", page], 1, "is no tvm-go plan; `tvm-go tune-graph MODEL -o PLAN.json` writes one"),
        ([newer, "-o", page], 1, "plan version 99 and this tvm-go reads 3: upgrade tvm-go"),
        ([old, "-o", page], 1, "does not hold its graph (an older tvm-go wrote it): give the model with --model"),
        ([plan, "--against", old, "-o", page], 1, "old.json does not hold its graph"),
        ([plan, "--against", other, "-o", page], 1, "for two models"),
        ([plan, "--against", newer, "-o", page], 1, "upgrade tvm-go"),
        ([plan, "--against", tmp_path / "none.json", "-o", page], 1, "cannot read the plan"),
        ([plan, "-o", tmp_path / "no" / "p.html"], 2, "choose a file in an existing folder with -o"),
        ([plan, "-o", tmp_path], 2, "it is a folder"),
        ([plan, "-o", "/proc/p.html"], 2, "cannot write the page"),
        (
            [split, "-o", page],
            2,
            "is a split, which does not hold its graph: give the GRAPH.json of place with --model",
        ),
        ([torn, "--model", graph, "-o", page], 1, "names op 99, which graph does not have: write it again"),
        ([split, "--model", graph, "--against", torn, "-o", page], 1, "names op 99"),
        ([split, "--model", text, "-o", page], 1, "not JSON"),
    ]
    for arguments, status, message in cases:
        code, printed = _view(arguments, capfd)
        assert (code, printed.count("\n")) == (status, 1), printed
        assert message in printed
    assert not page.exists()


def test_a_plan_of_another_model_file_is_one_clear_line(
    tuned: Tuned, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = _without_details(tuned.plan, tmp_path / "old.json")
    other = write_small_onnx(tmp_path / "other.onnx", extra_op="Exp")
    code, printed = _view([old, "--model", other, "-o", tmp_path / "p.html"], capfd)
    assert code == 1
    assert "the plan is for" in printed
    code, printed = _view([old, "--model", other, "--log", tmp_path / "no.jsonl", "-o", tmp_path / "p.html"], capfd)
    assert code in (1, 2)
    assert printed.count("\n") == 1


def test_help_fits_a_screen_and_shows_an_example(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, printed = _view(["--help"], capfd)
    lines = printed.splitlines()
    assert code == 0
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert "tvm-go view plan.json -o plan.html" in printed
