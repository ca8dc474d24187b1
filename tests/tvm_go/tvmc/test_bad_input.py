"""Bad input ends in one clear line on stderr with the next step, and the right exit status; nothing on stdout."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import tvm

from tests.models import write_small_onnx
from tests.tuned import Tuned
from tvm_go.tvmc.main import main

_HEADER = '#[version = "0.0.5"]\ndef @main'
_RELAY = {
    "syntax": "(%x: Tensor[(1, 4), float32]) {\n  nn.relu(%x\n}\n",
    "operator": "(%x: Tensor[(1, 4), float32]) {\n  nn.frobnicate(%x)\n}\n",
    "types": "(%x: Tensor[(1, 4), float32], %y: Tensor[(1, 5), float32]) {\n  add(%x, %y)\n}\n",
    "branch": "(%x: Tensor[(4), float32], %c: Tensor[(), bool]) {\n  if (%c) { nn.relu(%x) } else { exp(%x) }\n}\n",
    "layout": "(%x: Tensor[(1, 8, 8, 4), float32], %w: Tensor[(3, 3, 4, 4), float32]) {\n"
    "  nn.conv2d(%x, %w, padding=[0, 0, 0, 0], channels=4, kernel_size=[3, 3],"
    ' data_layout="NWHC", kernel_layout="HWIO")\n}\n',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model files with something wrong, and one good one."""
    folder = tmp_path_factory.mktemp("bad")
    good = write_small_onnx(folder / "good.onnx")
    write_small_onnx(folder / "operator.onnx", extra_op="FrobnicateXYZ")
    (folder / "truncated.onnx").write_bytes(good.read_bytes()[:6000])
    (folder / "empty.onnx").touch()
    (folder / "text.onnx").write_text("hello, not a model\n")
    (folder / "model.xyz").write_text("x")
    dynamic = onnx.load(str(good))
    dynamic.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(dynamic, str(folder / "dynamic.onnx"))
    for name, text in _RELAY.items():
        (folder / f"{name}.relay").write_text(_HEADER + text)
    (folder / "headless.relay").write_text("def @main" + _RELAY["types"])
    return folder


def failing(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit status and the one line of an error of ours, of a command run in this process."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    printed = capfd.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if not line.startswith("[")]  # TVM's own warnings, in C++
    assert len(lines) == 1, printed.err
    return end.value.code, lines[0]


@pytest.mark.parametrize(
    ("model", "status", "parts"),
    [
        ("nothere.onnx", 2, ["no model file", "give the path"]),
        (".", 2, ["is a folder", "give the path"]),
        ("model.xyz", 2, ["cannot tell the format", "--model-format", "onnx"]),
        ("truncated.onnx", 2, ["cannot read", "as onnx", "is the file whole"]),
        ("text.onnx", 2, ["cannot read", "as onnx", "is the file whole"]),
        ("empty.onnx", 1, ["no operator", "is the file whole"]),
        ("operator.onnx", 1, ["FrobnicateXYZ", "export the model without it"]),
        ("dynamic.onnx", 1, ["input 'x'", "dynamic shape", "--input-shapes"]),
        ("syntax.relay", 2, ["cannot read", "line 4: expected a `)`"]),
        ("operator.relay", 2, ["line 3: operator `nn.frobnicate` not found"]),
        ("types.relay", 2, ["line 3: Incompatible broadcast type"]),
        ("headless.relay", 2, ["required version information"]),
        ("branch.relay", 1, ["control flow", "Relay VM"]),
        ("layout.relay", 1, ["NWHC"]),
    ],
)
def test_models(
    model: str, status: int, parts: list[str], folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = ["-o", str(tmp_path / "p.json"), "--log", str(tmp_path / "l.jsonl")]
    code, line = failing(["tune-graph", str(folder / model), "--quiet", *output], capfd)
    assert line.startswith("tvm-go: error: ")
    assert (code, [part for part in parts if part not in line]) == (status, []), line
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize(
    ("options", "status", "parts"),
    [
        ("--target toaster", 2, ["unknown target 'toaster'", "llvm", "'native'"]),
        ("--target=llvm\u00a0-mcpu=pentium99", 2, ["pentium99", "did you mean"]),
        ("--target=llvm\u00a0-frob=3", 2, ["Cannot recognize 'frob'"]),
        ("--target cuda", 2, ["built without the back end 'cuda'", "llvm", "install"]),
        ("--budget -1", 2, ["--budget is -1", "0 or more"]),
        ("--kernel-trials -1", 2, ["--kernel-trials is -1", "0 or more"]),
        ("--seconds 0", 2, ["--seconds is 0", "more than 0"]),
        ("--seconds nan", 2, ["--seconds is nan"]),
        ("--seed -1", 2, ["--seed is -1", "0 or more"]),
        ("--rpc-tracker 127.0.0.1:1", 2, ["--rpc-tracker and --rpc-key belong together"]),
        ("--rpc-key board", 2, ["--rpc-tracker and --rpc-key belong together"]),
        ("--rpc-key k --rpc-tracker 127.0.0.1:abc", 2, ["no HOST:PORT", "for instance"]),
        ("--rpc-key k --rpc-tracker 127.0.0.1:99999", 2, ["no HOST:PORT", "for instance"]),
        ("--rpc-key k --rpc-tracker :9190", 2, ["no HOST:PORT", "for instance"]),
        ("--rpc-key k --rpc-tracker 127.0.0.1:1", 1, ["no RPC tracker at 127.0.0.1:1", "rpc_tracker --port 1"]),
        ("--input-shapes y:[1,3,24,24]", 2, ["'y'", "--input-shapes"]),
        ("--model-format relay", 2, ["cannot read", "as relay"]),
        ("-o nofolder/p.json", 2, ["nofolder", "existing folder with -o"]),
        ("-o /proc/p.json", 2, ["/proc", "existing folder with -o"]),
        ("-o .", 2, ["it is a folder", "-o"]),
        ("--report nofolder/r.html", 2, ["cannot write the report", "nofolder", "existing folder with --report"]),
        ("--report .", 2, ["cannot write the report", "it is a folder", "--report"]),
        ("--report p.json -o ./p.json", 2, ["--report 'p.json' is the plan of this run", "a file of its own"]),
        ("--report l.jsonl --log l.jsonl", 2, ["--report 'l.jsonl' is the log of this run"]),
        ("--report {model}", 2, ["is the model of this run"]),
        ("--tensorboard /proc/x", 2, ["TensorBoard", "/proc/x", "another folder with --tensorboard"]),
        ("--tensorboard {model}", 2, ["TensorBoard", "File exists", "another folder with --tensorboard"]),
        ("--log /proc/l.jsonl", 1, ["cannot write tuning log /proc/l.jsonl", "give a file"]),
        ("--log {model}/l.jsonl", 1, ["tuning log", "Not a directory", "give a file"]),
        ("--log .", 1, ["tuning log", "not a regular file", "give a file"]),
    ],
)
def test_options(
    options: str,
    status: int,
    parts: list[str],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = str(folder / "good.onnx")
    words = [word.replace("\u00a0", " ") for word in options.format(model=model).split(" ")]
    code, line = failing(["tune-graph", model, "--quiet", *words], capfd)
    assert line.startswith("tvm-go: error: ")
    assert (code, [part for part in parts if part not in line]) == (status, []), line


@pytest.mark.parametrize("options", [["--budget", "many"], ["--strategy", "magic"], ["--input-shapes", "x:[1,"]])
def test_options_of_the_wrong_type_are_named_below_a_short_usage(
    options: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["tune-graph", str(folder / "good.onnx"), *options])
    assert end.value.code == 2
    usage, error = capfd.readouterr().err.splitlines()
    assert usage.startswith("usage: tvm-go tune-graph MODEL")
    assert options[0] in error


@pytest.mark.parametrize(
    ("plan", "parts"),
    [
        ("nothere.json", ["cannot read the plan", "No such file"]),
        ("good.onnx", ["no tvm-go plan", "`tvm-go tune-graph`"]),
        ("list.json", ["no tvm-go plan", "`tvm-go tune-graph"]),
        ("newer.json", ["plan version 99", "upgrade"]),
        ("damaged.json", ["damaged", "write it again"]),
        ("other_target.json", ["is for target 'llvm -keys=cpu -mcpu=core-avx2'", "tune for this target"]),
        ("other_model.json", ["is for model graph 0123456789ab", "tvm-go tune-graph"]),
    ],
)
def test_plans(
    plan: str, parts: list[str], folder: Path, tuned: Tuned, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good = json.loads((tuned.plan).read_text())
    changed = {
        "list.json": [1, 2],
        "newer.json": good | {"version": 99},
        "damaged.json": {name: value for name, value in good.items() if name != "kernel"},
        "other_target.json": good | {"target": "llvm -keys=cpu -mcpu=core-avx2"},
        "other_model.json": good | {"workload": "0123456789abcdef", "details": None},
    }
    path = folder / plan
    if plan in changed:
        path = tmp_path / plan
        path.write_text(json.dumps(changed[plan]))
    options = ["--target", "native"] if plan == "other_target.json" else []
    arguments = ["compile", str(folder / "good.onnx"), "--graph-plan", str(path), "-o", str(tmp_path / "a.tar")]
    code, line = failing([*arguments, *options], capfd)
    assert (code, [part for part in parts if part not in line]) == (1, []), line
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["-o", "nofolder/a.tar"], 2, ["nofolder", "existing folder with -o"]),
        (["-o", "."], 2, ["it is a folder", "-o"]),
        (["--graph-plan", "p.json", "--opt-level", "2"], 2, ["--opt-level", "leave it out"]),
        (["--graph-plan", "p.json", "--desired-layout", "NHWC"], 2, ["--desired-layout", "leave it out"]),
        (["--target", "toaster"], 2, ["unknown target 'toaster'", "llvm"]),
        (["--target", "llvm", "--dump-code", "poem"], 1, ["format: poem", "unexpected", "add -v"]),
    ],
)
def test_compile_options(
    arguments: list[str],
    status: int,
    parts: list[str],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, line = failing(["compile", str(folder / "good.onnx"), *arguments], capfd)
    assert (code, [part for part in parts if part not in line]) == (status, []), line


def test_what_is_no_library_is_not_run(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, line = failing(["run", str(folder / "good.onnx")], capfd)
    assert (code, "is no library; give what `tvm-go compile` wrote" in line) == (2, True), line
    code, line = failing(["run", "nothere.tar"], capfd)
    assert (code, "`tvm-go compile MODEL -o nothere.tar` makes one" in line) == (2, True), line


def test_verbose_shows_where_an_unexpected_error_comes_from(folder: Path, tmp_path: Path) -> None:
    wrong = ["--target", "llvm", "--dump-code", "poem", "-v"]
    with pytest.raises(tvm.TVMError, match="poem"):
        main(["compile", str(folder / "good.onnx"), *wrong, "-o", str(tmp_path / "a.tar")])
