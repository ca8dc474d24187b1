"""Placements of a model: the best by what kernels and copies take, legal, and right on real devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import tvm
from tvm import relay

from benchmarks.zoo import load
from cost_model.config import RpcConfig
from cost_model.links import Links
from cost_model.rpc import RpcConnection
from cost_model.whole_model import compare_whole
from relay_passes.dataflow import Dataflow
from relay_passes.prepare import prepare_base
from relay_passes.target_set import TargetSet
from tvm_go.device_search import DeviceSearch
from tvm_go.graph import OpGraph
from tvm_go.kernels import Kernel
from tvm_go.lowering import TE, Lowering
from tvm_go.model import Model
from tvm_go.rules import rule_set

TARGETS = TargetSet.parse("cpu=llvm, opencl=opencl")


class Given:
    """An oracle to which ops of some names take a millisecond each, and all others another time."""

    try_tir = False

    def __init__(self, slow: Sequence[str], slow_ms: float, other_ms: float) -> None:
        self._slow, self._slow_ms, self._other_ms = slow, slow_ms, other_ms

    def confirm(self, flow: Dataflow, graph: OpGraph, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        times = {True: self._slow_ms, False: self._other_ms}
        return [sum(times[graph.name(op) in self._slow] for op in kernel.ops) for _, kernel in requests]

    def knows(self, key: str) -> bool:
        return True

    def best_lowering(self, key: str) -> Lowering:
        return TE


def search(
    host: Given, other: Given, *, latency_ms: float = 0.1, memory_bytes: Sequence[int | None] = (None, None)
) -> DeviceSearch:
    links = Links(np.array([[0, latency_ms], [latency_ms, 0]]), np.array([[np.inf, 1e6], [1e6, np.inf]]), np.zeros(2))
    oracles = [host, other]
    return DeviceSearch(
        TARGETS,
        oracles,  # type: ignore[arg-type]
        links,
        rule_set("open"),
        "min_cut",
        0,
        {},
        memory_bytes,
    )


def dense_erf_dense() -> tvm.IRModule:
    """Two products with a row of error functions between them."""
    x, first, second = (relay.var(name, shape=(32, 32)) for name in ("x", "first", "second"))
    value = relay.nn.dense(x, first)
    for _ in range(4):
        value = relay.erf(value)
    return tvm.IRModule.from_expr(relay.Function([x, first, second], relay.nn.dense(value, second)))


def test_kernels_go_where_they_are_faster_if_the_copies_are_worth_it() -> None:
    base = prepare_base(dense_erf_dense(), target=TARGETS.host)
    model = Model.with_variants(base, None, TARGETS.host)
    host, other = Given(["erf"], 5.0, 1.0), Given(["erf"], 1.0, 20.0)
    own = np.zeros(int(model.default.max()) + 1, dtype=np.int32)
    near = search(host, other)
    host_ms = near.predicted_ms(model, model.default, own)
    best = near.candidates(base, [], model, model.default, host_ms)[0]
    names = [best.model.graph.name(op) for op in np.flatnonzero(best.device[best.kernel] == 1).tolist()]
    assert set(names) == {"erf"}
    assert best.copies.count == 2
    assert best.predicted_ms == pytest.approx(2 * 1.0 + 4 * 1.0 + 0.2 + 2 * 4096 / 1e6)
    plan = near.plan_of(best)
    assert plan.devices == ("cpu", "opencl")
    assert plan.provenance["copies"] == 2
    assert plan.provenance["copy_ms"] == pytest.approx([0.1 + 4096 / 1e6] * 2)
    plan.check(best.model.graph)
    far = search(host, other, latency_ms=100.0)
    assert not far.candidates(base, [], model, model.default, host_ms)
    small = search(host, other, memory_bytes=(None, 4000))  # less than one value
    assert not small.candidates(base, [], model, model.default, host_ms)


@pytest.mark.parametrize("name", ["squeezenet"])
def test_a_mixed_plan_gives_the_numbers_of_the_default_build(name: str, opencl_server: RpcConfig) -> None:
    zoo = load(name)
    base = prepare_base(zoo.mod, zoo.params, target=TARGETS.host)
    default = Model.with_variants(base, None, TARGETS.host)
    slow = ["nn.max_pool2d", "concatenate", "nn.relu", "nn.global_avg_pool2d", "nn.softmax"]
    mixed = search(Given(slow, 5.0, 1.0), Given(slow, 0.1, 50.0))
    own = np.zeros(int(default.default.max()) + 1, dtype=np.int32)
    host_ms = mixed.predicted_ms(default, default.default, own)
    best = mixed.candidates(base, [], default, default.default, host_ms)[0]
    assert 0 < best.device.sum() < len(best.device)
    with RpcConnection(opencl_server) as connection:
        outcome = compare_whole(
            default.build_of(default.plan(default.default, "tvm")),
            best.model.build_of(mixed.plan_of(best)),
            targets=TARGETS,
            connection=connection,
            most_loads=1,
        )
    assert outcome.verification is not None, outcome.error
    assert outcome.verification.numerics in ("ok", "sensitive")
