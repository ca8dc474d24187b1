"""A kernel's structure keeps all that its key is made from, and survives JSON."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relay

from cost_model.structure import union
from relay_passes.targets import as_target
from tests.models import write_small_onnx
from tests.partitions import partitioned, taken_apart
from tvm_go.errors import LogError
from tvm_go.kernels import kernel_keys, members
from tvm_go.model import Model


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = write_small_onnx(tmp_path_factory.mktemp("model") / "small.onnx")
    mod, params = relay.frontend.from_onnx(onnx.load(str(path)))
    return Model.prepare(mod, params, as_target("llvm"))


@given(st.integers(0, 10**6), st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_kernels_put_together_again_keep_their_keys(seed: int, num_ops: int) -> None:
    graph, kernel = partitioned(seed, num_ops)
    saved = json.dumps(taken_apart(graph, kernel))
    again, of_op = union(json.loads(saved))
    assert kernel_keys(again, of_op) == kernel_keys(graph, kernel)
    assert np.array_equal(again.flops, graph.flops[members(kernel)[1]])


def test_kernels_of_a_real_model(small: Model) -> None:
    graph, kernel = small.graph, small.default
    again, of_op = union(taken_apart(graph, kernel))
    order = members(kernel)[1]
    assert kernel_keys(again, of_op) == kernel_keys(graph, kernel)
    assert np.array_equal(again.value_bytes[again.op_first_value], graph.value_bytes[graph.op_first_value[order]])


def test_what_is_no_structure_is_named() -> None:
    with pytest.raises(LogError, match=r"structure of a kernel is damaged.*collect its kernels again"):
        union([{"ops": [["add"]]}])
