"""An OpenCL server and an emulated ARM64 server behind one tracker: a real model is tuned, built and run on both."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm.contrib import graph_executor

import tvm_go
from cost_model.config import MeasureConfig, RpcConfig
from cost_model.rpc import RpcConnection
from relay_passes.export import export_library
from relay_passes.target_set import TargetSet
from tests.conftest import skip_without
from tests.relay_passes.placing import REAL, random_input
from tests.servers import ARM64_SERVER, running_emulated_server, running_server, running_tracker
from tests.tvm_go.composing import plain_outputs
from tuning_logs import KernelRecord, TuningLog

Servers = dict[str, RpcConfig]
CONFIG = MeasureConfig(workers=1, repeat=3, max_timing_ms=50.0, run_timeout_s=60.0)
TARGETS = {"opencl": "cpu=llvm, opencl=opencl", "arm64": "rpi4"}


@pytest.fixture(scope="module")
def servers(opencl_runtime: Path) -> Iterator[Servers]:
    """Both kinds of servers, by key, registered with the same tracker at the same time."""
    if subprocess.run([ARM64_SERVER, "--check"], check=False).returncode:
        skip_without("the emulated ARM64 machine is not set up: run tools/arm64_server")
    with (
        running_tracker() as tracker,
        running_server(tracker, "opencl", runtime=opencl_runtime) as opencl,
        running_emulated_server(tracker, "arm64") as arm64,
    ):
        assert opencl.tracker_port == arm64.tracker_port
        yield {"opencl": opencl, "arm64": arm64}


@pytest.mark.parametrize("key", TARGETS)
def test_a_real_model_is_tuned_built_and_run_on_each_server(key: str, servers: Servers, tmp_path: Path) -> None:
    mod, params = REAL["gru"]()
    mod = tvm.relay.transform.InferType()(mod)
    rng = np.random.default_rng(0)
    inputs = {
        var.name_hint: random_input(var.checked_type, rng) for var in mod["main"].params if var.name_hint not in params
    }
    log, rpc = tmp_path / "log.jsonl", servers[key]
    plan = tvm_go.tune(mod, params, target=TARGETS[key], budget=6, log=log, rpc=rpc, measure=CONFIG, name="gru")
    kinds = {one.device_kind.partition(":")[0] for one in TuningLog(log).load() if isinstance(one, KernelRecord)}
    assert {"opencl": {"cpu", "opencl"}, "arm64": {"emulated cpu"}}[key] <= kinds

    targets = TargetSet.parse(plan.target)
    library = tmp_path / "model.so"
    export_library(tvm_go.build(mod, params, plan=plan), library, targets.host)

    def run_there(session: Any) -> list[Any]:
        session.upload(str(library))
        devices = [session.device(name, 0) for name in targets.names]
        executor = graph_executor.GraphModule(session.load_module(library.name)["default"](*devices))
        executor.set_input(**inputs)
        executor.run()
        return [executor.get_output(number).numpy() for number in range(executor.get_num_outputs())]

    with RpcConnection(rpc) as connection:
        found = connection.run(run_there, session_timeout_s=300.0)
    bound = tvm.relay.build_module.bind_params_by_name(mod["main"], params)
    (expected,) = plain_outputs(tvm.ir.save_json(tvm.IRModule.from_expr(bound)), [inputs])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)
