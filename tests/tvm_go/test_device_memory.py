"""What a plan takes of each device's memory: weights where they are read, values while somebody wants them."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relay

from cost_model.config import MeasureConfig, RpcConfig
from cost_model.measure import Measurer
from cost_model.served_device import ServedDevice
from relay_passes import extract
from tests.relay_passes.test_extract import typed
from tvm_go.device_memory import check_memory, needed_bytes, weight_bytes
from tvm_go.errors import UsageError
from tvm_go.graph import OpGraph
from tvm_go.tuning import tune_graph

_BYTES = 4 * 64 * 64  # of each value here


def chain_with_weights() -> tvm.IRModule:
    """Four ops in a row, each on 64 x 64 values; the first and the last read a weight."""
    weight = relay.const(np.ones((64, 64), dtype="float32"))
    value = relay.var("x", shape=(64, 64)) + weight
    return typed(relay.exp(relay.tanh(value)) * weight)


def _needed(device: list[int]) -> tuple[list[int], list[int]]:
    graph: OpGraph = extract(chain_with_weights())
    kernel = np.arange(4, dtype=np.int32)
    places = np.array(device, dtype=np.int32)
    found = (one(graph, kernel, places, 2) // _BYTES for one in (needed_bytes, weight_bytes))
    needed, weights = (one.tolist() for one in found)
    return needed, weights


def test_on_one_device_a_kernels_input_and_output_are_alive_and_the_weight_lies_once() -> None:
    assert _needed([0, 0, 0, 0]) == ([3, 0], [1, 0])


def test_a_weight_that_two_devices_read_lies_on_both() -> None:
    assert _needed([0, 0, 0, 1])[1] == [1, 1]


def test_a_copy_takes_memory_where_it_is_read_and_its_original_where_it_was_made() -> None:
    needed, weights = _needed([0, 1, 1, 0])
    assert weights == [1, 0]
    assert needed == [3, 2]


def test_what_fits_is_let_pass_and_what_does_not_is_one_line() -> None:
    graph, kernel = extract(chain_with_weights()), np.arange(4, dtype=np.int32)
    device = np.ones(4, dtype=np.int32)
    check_memory(graph, kernel, device, ("cpu", "opencl"), (None, 4 * _BYTES))
    expected = (
        r"takes at least 49.2 kB on opencl \(16.4 kB of weights\), which has 40 kB: take a device with more memory"
    )
    with pytest.raises(UsageError, match=expected):
        check_memory(graph, kernel, device, ("cpu", "opencl"), (None, 40_000))


def test_the_server_says_how_much_memory_its_device_has(opencl_server: RpcConfig) -> None:
    with Measurer(target="opencl", config=MeasureConfig(workers=1), rpc=opencl_server) as measurer:
        memory_bytes = measurer.served().memory_bytes
    assert memory_bytes is not None
    assert 1e8 < memory_bytes < 1e13


def test_a_model_that_is_too_large_is_refused_before_anything_is_built(
    opencl_server: RpcConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(self: Measurer) -> ServedDevice:
        return ServedDevice("opencl: small", "small", memory_bytes=10_000)

    monkeypatch.setattr(Measurer, "served", small)
    with pytest.raises(UsageError, match=r"on opencl \(16.4 kB of weights\), which has 10 kB"):
        tune_graph(chain_with_weights(), target="opencl", rpc=opencl_server, budget=4)
