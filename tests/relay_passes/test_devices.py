"""Kernels on several devices in one build: their copies, their weights, their lowerings, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relay

from cost_model.child import ChildProcess
from relay_passes import extract
from relay_passes.apply import apply, regroup
from relay_passes.dataflow import read
from relay_passes.library import build_in_folder, kernel_names, write_module
from tests.relay_passes.placed_models import MODELS, TARGETS, Placing, in_placeable_forms, placing, weight
from tests.relay_passes.test_extract import typed
from tvm_go.copies import copies
from tvm_go.errors import PlanError
from tvm_go.graph import Int32, item_bytes
from tvm_go.kernels import free_kernels
from tvm_go.lowering import TE, TIR, Lowering
from tvm_go.model import Model
from tvm_go.plan import GraphPlan

_BUILD_S = 120.0
_TYPES = [target.get_target_device_type() for target in TARGETS.targets]

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Build a placement in a child process; the folder with what came of it."""
    child = ChildProcess(name="placed", work_dir=tmp_path_factory.mktemp("child"))

    def run(placed: Placing, device: Int32, lowering: tuple[Lowering, ...] = ()) -> Path:
        folder = tmp_path_factory.mktemp("build")
        model = placed.model
        write_module(
            *(model.mod, model.flow, model.graph, placed.kernel, folder, lowering), device=device, devices=TARGETS.names
        )
        targets = [tvm.ir.save_json(target) for target in TARGETS.targets]
        child.call(build_in_folder, str(folder), *targets, timeout_s=_BUILD_S)
        return folder

    yield run
    child.close()


def alternating(num_kernels: int, first: int) -> Int32:
    return ((np.arange(num_kernels) + first) % 2).astype(np.int32)


def copies_in(graph_json: str) -> list[tuple[tuple[int, int], int, int, int]]:
    """What each copy of a built graph reads, from which device to which, and its bytes."""
    graph = json.loads(graph_json)
    attributes = {name: values for name, (_, values) in graph["attrs"].items()}
    found = []
    for number, node in enumerate(graph["nodes"]):
        if node["op"] == "tvm_op" and node["attrs"]["func_name"] == "__copy":
            ((source, index, _),) = node["inputs"]
            read, made = graph["node_row_ptr"][source] + index, graph["node_row_ptr"][number]
            num_bytes = int(np.prod(attributes["shape"][made])) * item_bytes(attributes["dltype"][made])
            devices = (_TYPES.index(attributes["device_index"][entry]) for entry in (read, made))
            found.append(((source, index), *devices, num_bytes))
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("fused", [False, True], ids=["ops", "kernels"])
@pytest.mark.parametrize("model", MODELS)
def test_the_copies_in_the_graph_are_those_of_the_plan(
    model: Callable[[], relay.Expr], fused: bool, build: Build
) -> None:
    placed = placing(model, fused=fused)
    for first in (0, 1):
        device = alternating(placed.num_kernels, first)
        graph_json = (build(placed, device) / "graph.json").read_text()
        found, expected = copies_in(graph_json), copies(placed.model.graph, placed.kernel, device)
        rows = zip(expected.source.tolist(), expected.destination.tolist(), expected.num_bytes.tolist(), strict=True)
        assert Counter(tuple(copy[1:]) for copy in found) == Counter(rows)
        assert len({(value, destination) for value, _, destination, _ in found}) == len(found), (
            "a value is copied twice"
        )
        views = free_kernels(placed.model.graph, placed.kernel)
        assert len(kernel_names(graph_json)) == (~views).sum()


@pytest.mark.parametrize("place", [0, 1], ids=TARGETS.names)
def test_all_kernels_on_one_device_of_two(place: int, build: Build) -> None:
    placed = placing(MODELS[0], fused=False)
    graph = (build(placed, np.full(placed.num_kernels, place, dtype=np.int32)) / "graph.json").read_text()
    assert [copy[1:3] for copy in copies_in(graph)] == ([(0, 1), (1, 0)] if place else [])


def test_kernels_on_the_host_are_those_of_a_build_for_the_host_alone(tmp_path: Path, build: Build) -> None:
    """In the layouts that the CPU likes best: `relay.build` leaves layouts as they are where it has several targets."""
    mod = typed(MODELS[1]())
    model = Model.prepare(mod, None, TARGETS.host)
    write_module(model.mod, model.flow, model.graph, model.default, tmp_path)
    alone = build_in_folder(str(tmp_path), tvm.ir.save_json(TARGETS.host))
    placed = Placing(model, model.default)
    folder = build(placed, np.zeros(placed.num_kernels, dtype=np.int32))
    assert any("NCHWc" in name for name in alone)
    assert kernel_names((folder / "graph.json").read_text()) == alone
    params = [relay.load_param_dict((place / "graph.params").read_bytes()) for place in (folder, tmp_path)]
    shapes = [sorted((str(name), value.shape) for name, value in one.items()) for one in params]
    assert shapes[0] == shapes[1]


def test_a_weight_lies_on_the_devices_that_read_it(build: Build) -> None:
    x, shared = relay.var("x", shape=(4, 4)), weight(4, 4)
    model = in_placeable_forms(typed(relay.tanh(x + shared) * shared))
    placed = Placing(model, np.arange(3, dtype=np.int32))
    for device, lies_on in (((0, 0, 0), [0]), ((1, 0, 1), [1]), ((0, 1, 1), [0, 1])):
        folder = build(placed, np.array(device, dtype=np.int32))
        graph = json.loads((folder / "graph.json").read_text())
        params = relay.load_param_dict((folder / "graph.params").read_bytes())
        names = [node["name"] for node in graph["nodes"]]
        entries = (graph["node_row_ptr"][names.index(name)] for name in params)
        found = sorted(_TYPES.index(graph["attrs"]["device_index"][1][entry]) for entry in entries)
        assert found == lies_on


@pytest.mark.parametrize("lowering", [(TIR, TIR, TE, TIR, TIR), (TE, TE, TIR, TE, TE)])
def test_equal_kernels_take_the_lowering_of_their_device(lowering: tuple[Lowering, ...], build: Build) -> None:
    """A schedule is found by what its kernel computes, which one on the other device computes as well."""
    x = relay.var("x", shape=(8, 32))
    body = relay.nn.softmax(relay.nn.relu(relay.nn.softmax(relay.nn.relu(relay.nn.softmax(x)))))
    placed = Placing(in_placeable_forms(typed(body)), np.arange(5, dtype=np.int32))
    build(placed, np.array([0, 0, 1, 0, 0], dtype=np.int32), lowering)  # fails where a lowering was not asked for


def test_text(golden: Callable[[str], None]) -> None:
    """A value for two devices, a weight on both, a concatenation across, an output from the other device."""
    x, shared = relay.var("x", shape=(2, 4)), relay.const(np.ones((2, 4), dtype="float32"))
    left, right = relay.tanh(x + shared), relay.exp(x) * shared
    mod = typed(relay.Tuple([relay.concatenate([left, right, x], axis=1), right]))
    graph = extract(mod)
    kernel, device = np.array([0, 0, 1, 1, 2], dtype=np.int32), np.array([0, 1, 0], dtype=np.int32)
    plan = GraphPlan(kernel, "tvm", graph.structural_hash, TARGETS.text, device=device)
    golden(apply(mod, plan)["main"].astext(show_meta_data=False) + "\n")


def test_a_kernel_that_is_compiled_already_stays_on_the_host() -> None:
    x = relay.var("x", shape=(2, 4))
    inner = relay.var("p", shape=(2, 4))
    function = relay.Function([inner], relay.tanh(inner)).with_attr("Primitive", tvm.tir.IntImm("int32", 1))
    flow = read(typed(relay.exp(relay.Call(function, [x]))))
    graph, kernel = extract(typed(relay.exp(relay.Call(function, [x])))), np.arange(2, dtype=np.int32)
    regroup(flow, graph, kernel, device=np.array([0, 1], dtype=np.int32), devices=TARGETS.names)
    with pytest.raises(PlanError, match=r"kernel 0 .* is compiled already, for cpu, and is placed on opencl"):
        regroup(flow, graph, kernel, device=np.array([1, 0], dtype=np.int32), devices=TARGETS.names)
