"""Lowerings mix in one build: each kernel gets its own, and the others are as in a build without any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import meta_schedule, relay
from tvm.tir.schedule import Schedule

from cost_model.lowering import lower_primitive
from relay_passes import lowering as module
from relay_passes.apply import apply, kernel_function
from relay_passes.library import build_module
from relay_passes.lowering import computation_of, lowering_scope, pass_config
from relay_passes.numerics import compare
from relay_passes.prepare import prepare_base
from relay_passes.schedules import NotSchedulableError, tilings
from relay_passes.targets import as_target, build_scopes
from relay_passes.variants import options
from tests.relay_passes.schedule_kernels import KERNELS
from tests.relay_passes.test_partition import outputs
from tests.relay_passes.test_schedules import assert_close, known, run
from tvm_go.kernels import describe, free_kernels, members, returned_values
from tvm_go.lowering import TE, TIR, Lowering
from tvm_go.model import Model

TARGET = as_target("llvm -mcpu=core-avx2")
INPUTS = {"x": np.random.default_rng(0).standard_normal((16, 64)).astype("float32")}


def weight(*shape: int) -> relay.Constant:
    return relay.const(np.random.default_rng(len(shape)).standard_normal(shape).astype("float32") / 8)


@pytest.fixture(scope="module")
def model() -> Model:
    """Three packed products, the first two with the same ops and other shapes, then a softmax."""
    x = relay.var("x", shape=(16, 64))
    first = relay.nn.relu(relay.nn.dense(x, weight(32, 64)))
    second = relay.nn.relu(relay.nn.dense(first, weight(48, 32)))
    third = relay.nn.dense(second, weight(16, 48)) + weight(16)
    body = relay.nn.softmax(third)
    prepared = Model.prepare(tvm.IRModule.from_expr(relay.Function([x], body)), None, TARGET)
    assert [prepared.graph.name(op) for op in range(prepared.graph.num_ops)].count("nn.contrib_dense_pack") == 3
    return prepared


def build(model: Model, lowering: Sequence[Lowering] = ()) -> Any:
    plan = model.plan(model.default, "tvm", lowering)
    return build_module(apply(model.mod, plan), TARGET)


def build_without_lowerings(model: Model) -> Any:
    """By `relay.build` itself, which like a mixed build leaves common subexpressions to LLVM."""
    with build_scopes(TARGET), pass_config():
        return relay.build(apply(model.mod, model.plan(model.default, "tvm")), TARGET)


def tir_by_name(factory: Any) -> dict[str, tvm.tir.PrimFunc]:
    """What became of each kernel, without its name."""
    found = {}
    for name, info in factory.function_metadata.items():
        for func in info.tir_primfuncs.values() if "fused" in name else ():
            found[str(name)] = bare(func)
    return found


def bare(func: tvm.tir.PrimFunc) -> tvm.tir.PrimFunc:
    for attribute in list(func.attrs.keys()):
        func = func.without_attr(attribute)
    return func


def alone(model: Model, number: int, lowering: Lowering) -> tvm.tir.PrimFunc:
    """A kernel of the default partition, lowered as it is when it is measured."""
    starts, ops = members(model.default)
    returned = returned_values(model.graph, model.default)
    interface = describe(model.graph, ops[starts[number] : starts[number + 1]], returned)
    function = kernel_function(model.flow, model.graph, interface)
    typed = relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]
    with build_scopes(TARGET):
        return bare(lower_primitive(typed, TARGET, "kernel", lowering))


def count_of(func: tvm.tir.PrimFunc, funcs: dict[str, tvm.tir.PrimFunc]) -> int:
    return sum(tvm.ir.structural_equal(func, other, map_free_vars=True) for other in funcs.values())


@pytest.mark.parametrize(
    "lowering", [(TE, TIR, TE, TIR), (TIR, TE, TE, TE), (TE, TE, TE, TIR), (TIR, TIR, TIR, TIR)], ids=str
)
def test_each_kernel_gets_its_own_lowering_and_te_chooses_as_ever(model: Model, lowering: tuple[Lowering, ...]) -> None:
    assert model.default.max() == 3
    plain, mixed = build_without_lowerings(model), build(model, lowering)
    made, usual = tir_by_name(mixed), tir_by_name(plain)
    assert len(made) == len(usual) == 4
    for number, chosen in enumerate(lowering):
        other = TIR if chosen == TE else TE
        assert count_of(alone(model, number, chosen), made) == 1
        assert count_of(alone(model, number, other), made) == 0
        assert count_of(alone(model, number, TE), usual) == 1
    packed, usually_packed = mixed.get_params(), plain.get_params()
    assert sorted(array.shape for array in packed.values()) == sorted(array.shape for array in usually_packed.values())
    for actual, expected in zip(outputs(mixed, INPUTS), outputs(plain, INPUTS), strict=True):
        ok, error = compare(actual, expected)
        assert ok
        assert error < 1e-5


def test_a_plan_without_lowerings_is_built_as_ever(model: Model) -> None:
    made, usual = tir_by_name(build(model, (TE, TE, TE, TE))), tir_by_name(build(model))
    assert all(count_of(func, usual) == 1 for func in made.values())


@pytest.mark.parametrize(("variant", "operator"), [("plain", "nn.dense"), ("NCHW", "nn.conv2d"), ("NHWC", "nn.conv2d")])
@pytest.mark.parametrize("lowering", [TE, TIR], ids=["te", "tir"])
def test_a_build_keeps_the_variants_of_a_plan(variant: str, operator: str, lowering: Lowering) -> None:
    """TVM's AlterOpLayout goes into primitive functions and would undo them."""
    x = relay.var("x", shape=(1, 16, 12, 12))
    y = relay.nn.relu(relay.nn.conv2d(x, weight(16, 16, 3, 3), padding=(1, 1), channels=16, kernel_size=(3, 3)))
    y = relay.nn.relu(relay.nn.dense(relay.nn.batch_flatten(relay.nn.global_avg_pool2d(y)), weight(32, 16)))
    base = prepare_base(tvm.IRModule.from_expr(relay.Function([x], y)), target=TARGET)
    names = [variant if variant in names else "default" for names in options(base, TARGET)]
    model = Model.with_variants(base, names, TARGET)
    assert operator in [model.graph.name(op) for op in range(model.graph.num_ops)]
    chosen = [lowering] * int(model.default.max()) + [TIR]
    made = tir_by_name(build(model, chosen))
    views = free_kernels(model.graph, model.default)
    for number, one in enumerate(chosen):
        assert views[number] or count_of(alone(model, number, one), made) == 1


def test_a_kernel_that_occurs_twice_is_lowered_the_same_way() -> None:
    x = relay.var("x", shape=(16, 64))
    y = relay.nn.softmax(relay.transpose(relay.nn.softmax(x), (1, 0)))
    twice = Model.prepare(tvm.IRModule.from_expr(relay.Function([x], relay.nn.softmax(relay.transpose(y, (1, 0))))),
                          None, TARGET)  # fmt: skip
    lowering = [TIR if twice.graph.name(op) == "nn.softmax" else TE for op in range(twice.graph.num_ops)]
    kernel = np.arange(twice.graph.num_ops, dtype=np.int32)
    plan = twice.plan(kernel, "tvm", lowering)
    built = build_module(apply(twice.mod, plan), TARGET)
    expected = outputs(build_module(apply(twice.mod, twice.plan(kernel, "tvm")), TARGET), INPUTS)
    np.testing.assert_allclose(outputs(built, INPUTS)[0], expected[0], rtol=1e-5)


def test_nothing_is_left_behind_by_an_error(model: Model) -> None:
    function = KERNELS["cumsum"]()

    def fail(func: tvm.tir.PrimFunc) -> Lowering:
        raise ValueError("no choice")

    with build_scopes(TARGET):
        with pytest.raises(NotSchedulableError, match="only TE's schedule takes it"):
            computation_of(function, TARGET)
        with pytest.raises(NotSchedulableError, match="only TE's schedule takes it"):
            lower_primitive(function, TARGET, "kernel", TIR)
        with pytest.raises(Exception, match="no choice"), pass_config(), lowering_scope(fail):
            relay.build(apply(model.mod, model.plan(model.default, "tvm")), TARGET)
        wrong = Lowering("tir", '{"vectors":3,"rows":[5],"unroll":1,"columns_first":true}')
        with pytest.raises(RuntimeError, match="Error"):
            lower_primitive(KERNELS["matmul_nn"](), TARGET, "kernel", wrong)
    assert module._scopes == []
    assert meta_schedule.database.Database.current() is None
    made = tir_by_name(build_without_lowerings(model))
    assert all(count_of(alone(model, number, TE), made) == 1 for number in range(4))


def test_a_plan_that_lowers_code_of_tvms_own_by_tir_is_refused_with_one_line() -> None:
    x = relay.var("x", shape=(2, 8, 12))
    accumulated = tvm.IRModule.from_expr(relay.Function([x], relay.cumsum(x, axis=1)))
    prepared = Model.prepare(accumulated, None, TARGET)
    plan = prepared.plan(prepared.default, "tvm", [TIR])
    with pytest.raises(NotSchedulableError, match="only TE's schedule takes it") as caught:
        build_module(apply(prepared.mod, plan), TARGET)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["matmul_nn", "conv_3x3", "dense_pack"])
def test_every_tiling_gives_the_same_numbers(name: str) -> None:
    function, inputs, expected = known(name)
    with build_scopes(TARGET):
        found = tilings(computation_of(function, TARGET), TARGET)
    assert len(found) > 3
    for tiling in [found[0], found[len(found) // 2], found[-1]]:
        lowering = Lowering("tir", json.dumps(tiling.to_json()))
        assert_close(run(function, inputs, TARGET, lowering), expected)


def test_a_recorded_trace_is_followed() -> None:
    function, inputs, expected = known("matmul_alone")
    with build_scopes(TARGET):
        computation = computation_of(function, TARGET)
    sch = Schedule(tvm.IRModule({"main": computation.with_attr("global_symbol", "main")}))
    block = sch.get_child_blocks(sch.get_block("root"))[0]
    sch.parallel(sch.fuse(*sch.get_loops(block)[:2]))
    trace = tvm.ir.load_json(tvm.ir.save_json(sch.trace.as_json()))
    lowering = Lowering("metaschedule", json.dumps(meta_json(trace)))
    assert_close(run(function, inputs, TARGET, lowering), expected)
    with build_scopes(TARGET):
        assert "parallel" in lower_primitive(function, TARGET, "kernel", lowering).script()


def meta_json(value: Any) -> Any:
    """TVM's containers as plain JSON values."""
    if isinstance(value, tvm.ir.Array | list | tuple):
        return [meta_json(item) for item in value]
    if isinstance(value, tvm.tir.IntImm):
        return int(value)
    return str(value) if isinstance(value, str) else value
