"""A value keeps its meaning on its way from the CPU to OpenCL, be it the least float."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tvm
from tvm import relay

from cost_model.config import RpcConfig
from cost_model.rpc import RpcConnection
from cost_model.whole_model import compare_whole
from relay_passes.target_set import TargetSet
from tvm_go.lowering import TE, TIR
from tvm_go.model import Model

TARGETS = TargetSet.parse("cpu=llvm, opencl=opencl")


def test_rows_that_are_masked_everywhere_on_the_cpu_have_a_softmax_on_opencl(opencl_server: RpcConfig) -> None:
    x = relay.var("x", shape=(8, 64))
    least = relay.const(np.finfo(np.float32).min)
    masked = relay.where(relay.less(x, relay.const(100.0)), least, x)
    model = Model.prepare(tvm.IRModule.from_expr(relay.Function([x], relay.nn.softmax(masked))), None, TARGETS.host)
    kernels = int(model.default.max()) + 1
    device = np.array([0] * (kernels - 1) + [1], dtype=np.int32)
    default = model.build_of(model.plan(model.default, "tvm"))
    with RpcConnection(opencl_server) as connection:
        for lowering in (TE, TIR):
            plan = model.plan(model.default, "tvm", [TE] * (kernels - 1) + [lowering])
            placed = model.build_of(replace(plan, target=TARGETS.text, device=device))
            checked = compare_whole(default, placed, targets=TARGETS, connection=connection, most_loads=1).verification
            assert checked is not None
            assert checked.numerics == "ok"
