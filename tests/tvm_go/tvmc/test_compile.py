"""`compile --graph-plan` builds the kernels of the plan, and stock `run` gives the numbers of a stock build."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.driver import tvmc as stock
from tvm.driver.tvmc import frontends
from tvm.driver.tvmc.model import TVMCModel

from cost_model.config import RpcConfig
from relay_passes.target_set import TargetSet
from tvm_go import Decisions, GraphPlan
from tvm_go.errors import PlanError, UsageError
from tvm_go.lowering import TE, TIR
from tvm_go.model import Model
from tvm_go.tvmc import compile_model
from tvm_go.tvmc.main import main
from tvm_go.tvmc.run import check_here


def tvmc(*arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert end.value.code in (0, None)  # stock commands return nothing


def graph_of(package: Path) -> Any:
    """What the graph executor of a package runs."""
    with tarfile.open(package) as tar:
        file = tar.extractfile("./mod.json") if "./mod.json" in tar.getnames() else tar.extractfile("mod.json")
        assert file is not None
        return json.load(file)


def kernels(package: Path) -> int:
    """Kernels that the graph executor of a package calls, views excepted."""
    nodes = graph_of(package)["nodes"]
    return sum(node["op"] == "tvm_op" and node["attrs"]["func_name"] != "__nop" for node in nodes)


@pytest.fixture(scope="module")
def unfused(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan that differs from TVM's in every kernel, half of them in TIR lowering."""
    read = frontends.load_model(str(models / "small.onnx"))
    target = tvm.target.Target("llvm")
    model = Model.prepare(read.mod, read.params, target)
    cut = Decisions(np.zeros(model.graph.num_edges, dtype=np.int64))
    path = tmp_path_factory.mktemp("plan") / "unfused.json"
    plan = cut.decode(model.graph, target=str(target), rules="tvm")
    lowering = tuple(TIR if number % 2 else TE for number in range(plan.num_kernels))
    dataclasses.replace(plan, lowering=lowering).save(path)
    return path


def test_a_plan_gives_its_kernels_and_the_numbers_of_a_stock_build(
    models: Path, unfused: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).standard_normal((1, 3, 24, 24)).astype("float32")
    np.savez(tmp_path / "in.npz", x=values)
    model = models / "small.onnx"
    tvmc("compile", model, "--target", "llvm", "-o", tmp_path / "stock.tar")
    tvmc("compile", model, "--graph-plan", unfused, "-o", tmp_path / "plan.tar")
    tvmc("compile", model, "--target", "native", "-o", tmp_path / "native.tar")
    names = ("stock", "plan", "native")
    for name in names:
        package = tmp_path / f"{name}.tar"
        tvmc("run", package, "--device", "cpu", "-i", tmp_path / "in.npz", "-o", tmp_path / f"{name}.npz")
    stock, planned, native = (np.load(tmp_path / f"{name}.npz")["output_0"] for name in names)
    np.testing.assert_allclose(planned, stock, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(native, stock, rtol=1e-4, atol=1e-6)
    assert kernels(tmp_path / "plan.tar") > kernels(tmp_path / "stock.tar")
    assert GraphPlan.load(tmp_path / "plan.tar").to_json() == GraphPlan.load(unfused).to_json()
    assert "Traceback" not in "".join(capsys.readouterr())


def test_without_a_plan_the_target_is_that_of_tvmcs_configuration(models: Path, tmp_path: Path) -> None:
    tvmc("compile", models / "small.onnx", "-o", tmp_path / "a.tar", "--dump-code", "relay")
    assert kernels(tmp_path / "a.tar") > 0
    assert (tmp_path / "a.tar.relay").exists()


def test_the_plan_holds_for_the_same_model_read_again_as_relay_text(models: Path, tmp_path: Path) -> None:
    """Arguments of Relay text stay inputs, with a plan as when it was tuned."""
    path = models / "small.relay"
    mod = relay.fromtext(path.read_text())
    target = tvm.target.Target("llvm")
    model = Model.prepare(mod, None, target)
    model.plan(model.default, "tvm").save(tmp_path / "p.json")
    tvmc("compile", path, "--graph-plan", tmp_path / "p.json", "-o", tmp_path / "a.tar")
    np.savez(tmp_path / "in.npz", x=np.ones((4, 64), "float32"), w=np.full((32, 64), 0.01, "float32"))
    tvmc("run", tmp_path / "a.tar", "--device", "cpu", "-i", tmp_path / "in.npz", "-o", tmp_path / "out.npz")
    np.testing.assert_allclose(np.load(tmp_path / "out.npz")["output_0"], np.exp(0.64), rtol=1e-4)


def test_python_compiles_by_a_plan_as_the_command_does(models: Path, unfused: Path, tmp_path: Path) -> None:
    model = stock.load(str(models / "small.onnx"))
    inputs = {"x": np.random.default_rng(0).standard_normal((1, 3, 24, 24)).astype("float32")}
    plan = GraphPlan.load(unfused)
    own = compile_model(model, plan=plan, package_path=tmp_path / "plan.tar")
    default = compile_model(model, "llvm")
    assert kernels(tmp_path / "plan.tar") > kernels(Path(default.package_path))
    ours, stocks = (stock.run(one, device="cpu", inputs=inputs).outputs["output_0"] for one in (own, default))
    np.testing.assert_allclose(ours, stocks, rtol=1e-4, atol=1e-6)
    again = compile_model(model, plan=tmp_path / "plan.tar")  # a library is as good as the plan that it was built by
    assert GraphPlan.load(again.package_path).key == plan.key


def test_python_refuses_what_a_plan_does_not_stand(models: Path, unfused: Path) -> None:
    model = stock.load(str(models / "small.onnx"))
    for options in ({"opt_level": 2}, {"use_vm": True}, {"desired_layout": "NHWC"}):
        with pytest.raises(UsageError, match="changes the graph that the plan was made for"):
            compile_model(model, plan=unfused, **options)
    with pytest.raises(PlanError, match="is for target 'llvm"):
        compile_model(model, "llvm -mcpu=x86-64", plan=unfused)


def test_a_library_without_a_plan_says_so(models: Path, tmp_path: Path) -> None:
    tvmc("compile", models / "small.relay", "--target", "llvm", "-o", tmp_path / "stock.tar")
    with pytest.raises(PlanError, match=r"stock\.tar is a model library without a plan: compile it with --graph-plan"):
        GraphPlan.load(tmp_path / "stock.tar")


def test_a_plan_for_several_devices_gives_a_library_that_runs_on_them(tmp_path: Path, opencl_server: RpcConfig) -> None:
    (tmp_path / "net.relay").write_text(
        '#[version = "0.0.5"]\n'
        "def @main(%x: Tensor[(4, 64), float32]) { %0 = exp(%x); %1 = nn.softmax(%0); tanh(%1) }\n"
    )
    read = TVMCModel(relay.fromtext((tmp_path / "net.relay").read_text()), {})
    devices = TargetSet.parse("cpu=llvm, opencl=opencl")
    model = Model.prepare(read.mod, None, devices.host)
    each = np.arange(3, dtype=np.int32)
    plan = dataclasses.replace(
        model.plan(each, "wide"), target=devices.text, device=np.array([0, 1, 0], dtype=np.int32)
    )
    plan.save(tmp_path / "p.json")
    tvmc("compile", tmp_path / "net.relay", "--graph-plan", tmp_path / "p.json", "-o", tmp_path / "a.tar")
    own = compile_model(read, plan=plan)
    for package in (tmp_path / "a.tar", Path(own.package_path)):
        graph = graph_of(package)
        assert sorted(set(graph["attrs"]["device_index"][1])) == [1, 4]  # kDLCPU and kDLOpenCL
        assert GraphPlan.load(package).key == plan.key
    with pytest.raises(UsageError, match="'dump_code' is not taken by a plan for several devices"):
        compile_model(read, plan=plan, dump_code=["relay"])
    given = {"x": np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)}
    where = {"hostname": opencl_server.tracker_host, "port": opencl_server.tracker_port, "rpc_key": opencl_server.key}
    output = stock.run(own, device="cpu", inputs=given, **where).outputs["output_0"]
    exps = np.exp(np.exp(given["x"]))
    np.testing.assert_allclose(output, np.tanh(exps / exps.sum(axis=1, keepdims=True)), rtol=1e-4, atol=1e-6)
    with pytest.raises(UsageError, match="has no opencl: run it on a server that has"):
        check_here(own.graph)


def test_a_plan_of_a_target_set_that_is_all_on_the_cpu_gives_a_library_for_the_cpu_alone(tmp_path: Path) -> None:
    text = "def @main(%x: Tensor[(4, 64), float32]) { %0 = exp(%x); nn.softmax(%0) }"
    read = TVMCModel(relay.fromtext('#[version = "0.0.5"]\n' + text), {})
    devices = TargetSet.parse("cpu=llvm, opencl=opencl")
    model = Model.prepare(read.mod, None, devices.host)
    plan = dataclasses.replace(model.plan(np.arange(2, dtype=np.int32), "wide"), target=devices.text)
    package = compile_model(read, plan=plan, package_path=str(tmp_path / "a.tar"), dump_code=["relay"])
    assert set(graph_of(tmp_path / "a.tar")["attrs"]["device_index"][1]) == {1}
    assert GraphPlan.load(tmp_path / "a.tar").key == plan.key
    given = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    exps = np.exp(np.exp(given))
    output = stock.run(package, device="cpu", inputs={"x": given}).outputs["output_0"]
    np.testing.assert_allclose(output, exps / exps.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6)
