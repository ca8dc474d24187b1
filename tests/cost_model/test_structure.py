"""A kernel's structure keeps all that its key is made from, and survives JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relay

from cost_model.rebuild import rebuilt, side_by_side
from cost_model.structure import union
from relay_passes.dataflow import read
from relay_passes.extract import to_graph
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


def test_kernels_are_relay_again(small: Model) -> None:
    graph, kernel = small.graph, small.default
    functions = [rebuilt(one) for one in taken_apart(graph, kernel)]
    again = to_graph(read(side_by_side(functions)))
    of_op = np.sort(kernel)
    assert kernel_keys(again, of_op) == kernel_keys(graph, kernel)


def test_a_tuple_of_one_tensor_is_one_again() -> None:
    attrs = '{"axis": 1, "indices_or_sections": []}'
    one = {"ops": [["split", attrs, 2, 0.0, 0, [0], 1]], "values": [["float32", [4, 8]]] * 2, "outputs": [1]}
    assert isinstance(rebuilt(one).body, relay.TupleGetItem)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"values": [["float32", [4]], ["float32", [5]]]}, r"an output has the type .*4.*, not float32 \[5\]"),
        ({"ops": [["nn.song", "{}", 0, 4.0, 0, [0], 1]]}, "nn.song"),
        ({"outputs": [7]}, "list index out of range"),
    ],
)
def test_what_cannot_be_relay_again_is_named(change: dict[str, Any], reason: str) -> None:
    one = {"ops": [["nn.relu", "{}", 0, 4.0, 0, [0], 1]], "values": [["float32", [4]]] * 2, "outputs": [1]}
    rebuilt(one)
    with pytest.raises(LogError, match=f"cannot be built again: .*{reason}") as caught:
        rebuilt(one | change)
    assert "\n" not in str(caught.value)


def test_what_is_no_structure_is_named() -> None:
    with pytest.raises(LogError, match=r"structure of a kernel is damaged.*collect its kernels again"):
        union([{"ops": [["add"]]}])
