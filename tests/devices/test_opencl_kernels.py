"""By the generic TIR schedule, kernels of every sort give their ops' numbers on a real OpenCL device."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import tvm

from cost_model.config import MeasureConfig, RpcConfig
from cost_model.kernel_task import KernelTask
from cost_model.measure import Measurer
from cost_model.oracle import task_key
from tests.cost_model.kernels import task
from tests.relay_passes.schedule_kernels import KERNELS
from tvm_go.lowering import TIR

CONFIG = MeasureConfig(workers=1, repeat=1, number=1, min_repeat_ms=0)
#: PoCL has no float16, and TVM accumulates by code of its own: nothing is left to schedule.
REFUSED = ("float16", "cumsum")
USUAL = (
    "conv_nchw",
    "conv_3x3",
    "depthwise",
    "winograd",
    "dense_pack",
    "matmul_nt_odd",
    "layer_norm",
    "argmax",
    "mask",
    "by_mask",
)


def check(names: Iterable[str], rpc: RpcConfig) -> None:
    tasks = []
    for name in names:
        function = KERNELS[name]()
        one = task(function.params, function.body)
        tasks.append(KernelTask(task_key(one.key, TIR), tvm.ir.save_json(function), 2, TIR))
    with Measurer(target="opencl", config=CONFIG, rpc=rpc) as measurer:
        results = list(measurer.measure(tasks))
    found = {name: (one.numerics, one.error_msg) for name, one in zip(names, results, strict=True)}
    assert found == dict.fromkeys(names, ("ok", ""))


def test_kernels_of_all_sorts_give_their_numbers(opencl_server: RpcConfig) -> None:
    check(USUAL, opencl_server)


@pytest.mark.campaign
def test_all_other_kernels_do(opencl_server: RpcConfig) -> None:
    check([name for name in KERNELS if name not in (*USUAL, *REFUSED)], opencl_server)
