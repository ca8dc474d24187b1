"""ARM64 through RPC, on an emulated machine: kernels, plans and whole models give the numbers they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tvm import relay
from tvm.contrib import graph_executor
from tvm.contrib.target.onnx import to_onnx
from tvm.relay import testing

from cost_model.build_worker import BuiltKernel, build_kernels
from cost_model.config import MeasureConfig, RpcConfig
from cost_model.kernel_result import KernelResult
from cost_model.measure import Measurer
from cost_model.oracle import task_key
from cost_model.rpc import RpcConnection
from cost_model.stage_file import StageFile
from relay_passes.apply import apply
from relay_passes.boards import BOARDS
from relay_passes.export import export_library
from relay_passes.library import build_module
from relay_passes.targets import as_target
from tests.cost_model.kernels import add_relu, dense_add, parameter, task
from tests.models import write_small_onnx
from tests.tvm_go.tvmc.command import tvm_go as command
from tuning_logs import KernelRecord, PlanRecord, TuningLog
from tvm_go.errors import MeasureError
from tvm_go.lowering import TIR
from tvm_go.model import Model
from tvm_go.plan import GraphPlan

BOARD = "rpi4"
CONFIG = MeasureConfig(workers=2, repeat=3, max_timing_ms=50.0, run_timeout_s=30.0)


def _measured(target: str, rpc: RpcConfig) -> list[KernelResult]:
    x, weight = parameter("x", 1, 8, 12, 12), parameter("w", 16, 8, 3, 3)
    conv = relay.nn.relu(relay.nn.conv2d(x, weight, kernel_size=(3, 3), channels=16, padding=(1, 1)))
    rows = parameter("rows", 8, 33)
    tasks = [add_relu(64), dense_add(40), task([x, weight], conv), task([rows], relay.nn.softmax(relay.exp(rows)))]
    tasks += [replace(one, key=task_key(one.key, TIR), lowering=TIR) for one in tasks]
    with Measurer(target=target, config=CONFIG, rpc=rpc) as measurer:
        assert measurer.served().kind == "emulated cpu"
        return list(measurer.measure(tasks))


def test_kernels_by_te_and_by_tir_give_the_numbers_of_this_machine(arm64_server: RpcConfig) -> None:
    results = _measured(BOARD, arm64_server)
    assert [(one.numerics, one.error_msg) for one in results] == [("ok", "")] * 8
    assert all(0 < one.median_ms < 1000 for one in results)


@pytest.mark.campaign
@pytest.mark.parametrize(
    "board", sorted({one.target: name for name, one in BOARDS.items() if "32" not in name}.values())
)
def test_kernels_for_every_board_are_right(board: str, arm64_server: RpcConfig) -> None:
    assert [one.numerics for one in _measured(board, arm64_server)] == ["ok"] * 8


def test_a_small_model_is_tuned_compiled_and_run_by_the_commands_of_the_guide(
    arm64_server: RpcConfig, tmp_path: Path
) -> None:
    write_small_onnx(tmp_path / "small.onnx")
    server = _options(arm64_server)
    tuned = command(
        "tune-graph", "small.onnx", "--target", BOARD, *server, "--budget", "10", "--no-ablation", "-o", "p.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert tuned.status == 0, tuned.stderr
    plan = GraphPlan.load(tmp_path / "p.json")
    assert plan.target == str(as_target(BOARD))
    records = TuningLog(tmp_path / "tvm-go.jsonl").load()
    assert {type(one) for one in records} == {KernelRecord, PlanRecord}
    for one in records:
        assert one.device_kind == "emulated cpu"
        assert one.host_cpu.startswith("aarch64 emulated on ")
        assert not isinstance(one, PlanRecord) or one.numerics == "ok"

    image = np.random.default_rng(0).standard_normal((1, 3, 24, 24)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=image)
    there = _run_by_command("small.onnx", BOARD, tmp_path, *server, plan="p.json")
    np.testing.assert_allclose(there, _run_by_command("small.onnx", "native", tmp_path), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [pytest.param("mobilenet", marks=pytest.mark.campaign), "resnet-18"])
def test_a_known_model_gives_the_logits_of_this_machine(name: str, arm64_server: RpcConfig, tmp_path: Path) -> None:
    mod, params = _logits_of(name)
    image = np.random.default_rng(1).standard_normal((1, 3, 64, 64)).astype(np.float32)
    library = tmp_path / "model.so"
    export_library(_built(mod, params, BOARD), library, as_target(BOARD))

    def run_there(session: Any) -> NDArray[np.float32]:
        session.upload(str(library))
        return _output(session.load_module(library.name)["default"](session.cpu()), image)

    with RpcConnection(arm64_server) as connection:
        there = connection.run(run_there, session_timeout_s=300.0)
    expected = _output(_built(mod, params, "native")["default"](tvm.cpu()), image)
    assert expected.std() > 0.1
    np.testing.assert_allclose(there, expected, rtol=0, atol=1e-3)


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["mobilenet", "resnet-18"])
def test_a_known_model_does_so_by_the_commands_of_the_guide(name: str, arm64_server: RpcConfig, tmp_path: Path) -> None:
    mod, params = _logits_of(name)
    to_onnx(mod, params, name, path=str(tmp_path / "model.onnx"))
    np.savez(tmp_path / "in.npz", data=np.random.default_rng(1).standard_normal((1, 3, 64, 64)).astype(np.float32))
    there = _run_by_command("model.onnx", BOARD, tmp_path, *_options(arm64_server))
    np.testing.assert_allclose(there, _run_by_command("model.onnx", "native", tmp_path), rtol=0, atol=1e-3)


@pytest.mark.parametrize("board", ["rpi3-32bit", "rpi4-32bit"])
def test_32_bit_arm_compiles_by_te_and_by_tir(board: str, tmp_path: Path) -> None:
    tasks = [dense_add(40), add_relu(64)]
    tasks += [replace(one, key=task_key(one.key, TIR), lowering=TIR) for one in tasks]
    library = tmp_path / "batch.so"
    target_json = tvm.ir.save_json(as_target(board))
    built = build_kernels(tuple(tasks), target_json, str(library), StageFile(tmp_path / "stage"))
    assert all(isinstance(one, BuiltKernel) for one in built)
    assert library.read_bytes()[:5] == b"\x7fELF\x01"  # of 32 bits


def test_a_key_of_another_architecture_is_one_line(arm64_server: RpcConfig) -> None:
    expected = "is a machine of architecture aarch64, and the target .* compiles for x86_64: give a target for it"
    with pytest.raises(MeasureError, match=expected), Measurer(target="native", rpc=arm64_server):
        pass


def test_a_target_of_another_architecture_needs_a_server() -> None:
    expected = "compiles for aarch64, and this machine is .*--rpc-tracker"
    with pytest.raises(MeasureError, match=expected), Measurer(target=BOARD):
        pass


def _options(rpc: RpcConfig) -> tuple[str, str]:
    return f"--rpc-tracker={rpc.tracker_host}:{rpc.tracker_port}", f"--rpc-key={rpc.key}"


def _run_by_command(model: str, target: str, folder: Path, *server: str, plan: str = "") -> NDArray[np.float32]:
    """The first output of a model file for the inputs in `in.npz`."""
    options = ("--graph-plan", plan) if plan else ()
    compiled = command("compile", model, "--target", target, *options, "-o", "model.tar", cwd=folder)
    assert compiled.status == 0, compiled.stderr
    ran = command("run", "model.tar", "--device", "cpu", *server, "-i", "in.npz", "-o", "out.npz", cwd=folder)
    assert ran.status == 0, ran.stderr
    with np.load(folder / "out.npz") as outputs:
        return np.asarray(outputs["output_0"])


def _logits_of(name: str) -> tuple[tvm.IRModule, dict[str, Any]]:
    """A model of `relay.testing` for small images without its softmax, with He's random weights."""
    shape = {"batch_size": 1, "image_shape": (3, 64, 64), "num_classes": 100}
    if name == "mobilenet":
        mod, params = testing.mobilenet.get_workload(**shape)
    else:
        mod, params = testing.resnet.get_workload(num_layers=18, **shape)
    logits = relay.Function(mod["main"].params, mod["main"].body.args[0])
    rng = np.random.default_rng(0)

    def weight(value: NDArray[np.float32]) -> NDArray[np.float32]:
        if value.ndim == 1:
            return value
        return (np.sqrt(2 / np.prod(value.shape[1:])) * rng.standard_normal(value.shape)).astype(np.float32)

    weights = {key: tvm.nd.array(weight(value.numpy())) for key, value in params.items()}
    return relay.transform.InferType()(tvm.IRModule.from_expr(logits)), weights


def _built(mod: tvm.IRModule, params: dict[str, Any], target: str) -> Any:
    model = Model.prepare(mod, params, as_target(target))
    return build_module(apply(model.mod, model.plan(model.default, "tvm")), model.target)


def _output(module: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
    executor = graph_executor.GraphModule(module)
    executor.set_input("data", image)
    executor.run()
    return np.asarray(executor.get_output(0).numpy())
