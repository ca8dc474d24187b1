"""Orders of kernels in graphs that TVM generates, and the memory that it plans for them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

from relay_passes import extract
from relay_passes.apply import apply
from relay_passes.dataflow import Dataflow, flatten, read
from relay_passes.ordering import graph_without_code, in_order, kernel_tensors, planned_memory
from relay_passes.stack import with_deep_stack
from relay_passes.targets import as_target, build_scopes
from tests.relay_passes.random_relay import modules
from tests.tvm_go.simulate.test_peak_memory import random_order
from tvm_go import Decisions
from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.simulate.peak_memory import plan_memory, planned_bytes

TARGET = as_target("llvm")


def fused(mod: tvm.IRModule) -> tvm.IRModule:
    """TVM's own kernels of a typed module."""

    def body() -> tvm.IRModule:
        with build_scopes(TARGET):
            return tvm.transform.Sequential([relay.transform.FuseOps(), relay.transform.InferType()])(mod)

    return with_deep_stack(body)


def unfused(mod: tvm.IRModule) -> tvm.IRModule:
    """A kernel for every op."""
    graph = extract(mod)
    return apply(mod, Decisions(np.zeros(graph.num_edges, dtype=np.int32)).decode(graph, target="llvm"))


def typed(body: relay.Expr) -> tvm.IRModule:
    function = relay.Function(relay.analysis.free_vars(body), body)
    return with_deep_stack(lambda: relay.transform.InferType()(tvm.IRModule.from_expr(function)))


def branching() -> tvm.IRModule:
    """Branches of several lengths, one through views, one through a split; two results."""
    x = relay.var("x", shape=(4, 32))
    wide = relay.nn.dense(x, relay.const(np.ones((64, 32), "float32")))
    viewed = relay.reshape(relay.nn.softmax(wide), (8, 32))
    left, right = relay.split(relay.nn.softmax(x), 2, axis=1)
    joined = relay.concatenate([relay.sum(viewed, axis=1), relay.sum(left, axis=1)], axis=0)
    return typed(relay.Tuple([relay.nn.softmax(relay.reshape(joined, (3, 4))), relay.max(right, axis=1)]))


def assert_runs_in(order: np.ndarray, flow: Dataflow, graph_json: str) -> None:
    """The i-th call of a graph reads the results of the same calls as the i-th kernel of the order."""
    nodes = json.loads(graph_json)["nodes"]
    calls = [number for number, node in enumerate(nodes) if node["op"] == "tvm_op"]
    assert len(calls) == len(order)
    node_of = dict(zip(order.tolist(), calls, strict=True))
    for kernel, number in node_of.items():
        read_values = [flow.values[value] for value in flatten(tuple(flow.uses[kernel]))]
        expected = [[node_of[value.op], value.index] for value in read_values if value.op >= 0]
        assert [entry[:2] for entry in nodes[number]["inputs"] if entry[0] in calls] == expected


@given(modules(max_steps=12), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_order_is_the_graphs_order_and_its_memory_is_known_before(mod: tvm.IRModule, seed: int, fuse: bool) -> None:
    mod = fused(mod) if fuse else unfused(mod)
    flow = read(mod)
    tensors = kernel_tensors(flow)
    order = random_order(tensors, seed)
    graph = graph_without_code(in_order(mod, order), TARGET)
    assert_runs_in(order, flow, graph)
    assert planned_memory(graph).kernel_bytes == planned_bytes(tensors, order)


def test_tensors_share_storage_exactly_as_tvm_plans_it() -> None:
    mod = unfused(branching())
    flow = read(mod)
    tensors = kernel_tensors(flow)
    assert tensors.is_view.sum() == 2
    for seed in range(3):
        order = random_order(tensors, seed)
        graph = json.loads(graph_without_code(in_order(mod, order), TARGET))
        storage = graph["attrs"]["storage_id"][1]
        calls = [number for number, node in enumerate(graph["nodes"]) if node["op"] == "tvm_op"]
        block = plan_memory(tensors, order)[0]
        pairs = {
            (int(block[tensor]), storage[graph["node_row_ptr"][number] + position])
            for kernel, number in zip(order.tolist(), calls, strict=True)
            for position, tensor in enumerate(range(*tensors.output_start[kernel : kernel + 2]))
        }
        assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs})


def test_the_default_order_is_tvms_own() -> None:
    mod = fused(branching())
    tensors = kernel_tensors(read(mod))
    default = np.arange(tensors.num_kernels, dtype=np.int32)
    graph = graph_without_code(mod, TARGET)
    assert_runs_in(default, read(mod), graph)
    assert planned_memory(graph).kernel_bytes == planned_bytes(tensors, default)


def test_a_built_library_runs_in_the_order_and_computes_the_same() -> None:
    mod = fused(branching())
    flow = read(mod)
    tensors = kernel_tensors(flow)
    order = next(
        order
        for order in (random_order(tensors, seed) for seed in range(100))
        if not np.array_equal(order, np.arange(tensors.num_kernels))
    )
    value = np.random.default_rng(0).standard_normal((4, 32)).astype("float32")
    results = []
    for one in (branching(), in_order(mod, order)):
        with tvm.transform.PassContext(opt_level=3):
            library = relay.build(one, TARGET)
        executor = GraphModule(library["default"](tvm.cpu()))
        executor.run(x=value)
        results.append([executor.get_output(i).numpy() for i in range(2)])
    for default, ordered in zip(*results, strict=True):
        np.testing.assert_array_equal(default, ordered)
    assert_runs_in(order, flow, library.get_graph_json())
    memory = planned_memory(library.get_graph_json())
    assert memory.kernel_bytes == planned_bytes(tensors, order)
    assert memory.kept_bytes == 4 * (4 * 32 + 64 * 32)
    assert memory == planned_memory(graph_without_code(in_order(mod, order), TARGET))


def test_a_deep_chain_of_kernels_is_ordered() -> None:
    body = relay.var("x", shape=(4,))
    for _ in range(500):
        body = relay.nn.softmax(body)
    mod = unfused(typed(body))
    graph = graph_without_code(in_order(mod, np.arange(500, dtype=np.int32)), TARGET)
    assert planned_memory(graph).kernel_bytes == 2 * 16


def test_the_given_module_stays_as_it_is() -> None:
    mod = fused(branching())
    before = tvm.ir.load_json(tvm.ir.save_json(mod))
    in_order(mod, random_order(kernel_tensors(read(mod)), 0))
    assert tvm.ir.structural_equal(mod, before)


def test_a_kernel_before_what_it_reads_is_refused() -> None:
    mod = fused(branching())
    count = kernel_tensors(read(mod)).num_kernels
    with pytest.raises(UsageError, match="stands before kernel"):
        in_order(mod, np.arange(count, dtype=np.int32)[::-1].copy())


def test_ops_in_no_kernel_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="is in no kernel yet"):
        in_order(branching(), np.arange(3, dtype=np.int32))
