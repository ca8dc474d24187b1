"""Variants as a whole: all default is TVM's own, wrong names are refused, every op remembers where it came from."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relay

from benchmarks.scaling import wide
from benchmarks.zoo import load
from relay_passes.apply import regroup
from relay_passes.dataflow import post_order, read, with_main
from relay_passes.extract import to_graph
from relay_passes.fuse_ops import default_partition
from relay_passes.numerics import compare
from relay_passes.prepare import finish, prepare, prepare_base
from relay_passes.stack import with_deep_stack
from relay_passes.targets import as_target, build_scopes
from relay_passes.variants import DEFAULT, options, origins, suggested
from tests.relay_passes.test_partition import outputs
from tests.relay_passes.test_prepare import assert_same
from tvm_go.errors import PlanError
from tvm_go.graph import ValueKind

TARGET = "llvm"  # four lanes: what it builds runs on any machine
AVX512 = "llvm -mcpu=skylake-avx512"
Array = np.ndarray[Any, Any]


def weight(*shape: int, seed: int = 0) -> relay.Constant:
    scale = np.sqrt(1 / np.prod(shape[1:]))
    return relay.const((np.random.default_rng(seed).standard_normal(shape) * scale).astype("float32"))


def as_module(body: relay.Expr) -> tvm.IRModule:
    mod = tvm.IRModule.from_expr(relay.Function(relay.analysis.free_vars(body), body))
    return relay.transform.InferType()(mod)


def reference(mod: tvm.IRModule) -> list[Array]:
    """Outputs of the model as it is, without a pass that changes anything."""
    with tvm.transform.PassContext(opt_level=0):
        return outputs(relay.build(mod, TARGET), random_inputs(mod))


def run(finished: tvm.IRModule) -> list[Array]:
    """Outputs of a finished module whose kernels are formed first: `relay.build` would choose layouts again."""
    flow, target = read(finished), as_target(TARGET)
    main = regroup(flow, to_graph(flow), default_partition(finished, target=target))
    config = {"tir.disable_cse_tir": True}  # with it, LLVM refuses some blocks

    def build() -> Any:
        kernels = relay.transform.InferType()(with_main(finished, main))
        with build_scopes(target), tvm.transform.PassContext(opt_level=3, config=config):
            return relay.build(kernels, target)

    return outputs(with_deep_stack(build), random_inputs(finished))


def random_inputs(mod: tvm.IRModule) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    return {
        var.name_hint: rng.standard_normal([int(extent) for extent in var.checked_type.shape]).astype("float32")
        for var in mod["main"].params
    }


def finish_as(mod: tvm.IRModule, wanted: str, target: str = TARGET) -> tvm.IRModule:
    """The module with a variant at each op that has it, and there is such an op."""
    base = prepare_base(mod, target=target)
    names = [wanted if wanted in applying else DEFAULT for applying in options(base, target)]
    assert wanted in names
    return finish(base, target=target, variants=names)


def assert_same_numbers(mod: tvm.IRModule, finished: tvm.IRModule) -> None:
    for expected, actual in zip(reference(mod), run(finished), strict=True):
        ok, error = compare(actual, expected)
        assert ok
        assert error < 1e-4


def operators(mod: tvm.IRModule) -> list[str]:
    return [operator.name for operator in read(mod).operators]


def assert_constants_are_folded(mod: tvm.IRModule) -> None:
    for expr, children in post_order(mod["main"].body):
        if isinstance(expr, relay.Call) and children:
            assert not all(isinstance(child, relay.Constant) for child in children), expr.op


def mixed() -> tvm.IRModule:
    """Each operator that has variants, with others between that pass layouts on or do not."""
    x = relay.var("x", shape=(1, 8, 10, 10))
    y = relay.nn.relu(relay.nn.conv2d(x, weight(16, 8, 3, 3), padding=(1, 1), channels=16, kernel_size=(3, 3)))
    depthwise = relay.nn.conv2d(
        y, weight(16, 1, 3, 3, seed=1), padding=(1, 1), channels=16, kernel_size=(3, 3), groups=16
    )
    z = relay.concatenate([relay.nn.conv2d(y, weight(8, 16, 1, 1), channels=8, kernel_size=(1, 1)), depthwise], 1)
    flat = relay.nn.batch_flatten(relay.nn.global_avg_pool2d(z))
    rows = relay.reshape(relay.nn.dense(flat, weight(48, 24)), (1, 6, 8))
    left, right = relay.split(relay.nn.batch_matmul(rows, weight(1, 8, 32), transpose_b=False), 2, axis=2)
    return as_module(relay.nn.softmax(relay.nn.batch_matmul(left, right)))


@functools.cache
def model(name: str) -> tvm.IRModule:
    if name == "mixed":
        return prepare_base(mixed(), target=AVX512)
    loaded = load(name)
    return prepare_base(loaded.mod, loaded.params, target=AVX512)


@pytest.mark.parametrize("name", ["squeezenet", "bert2", "mixed"])
def test_all_default_is_what_prepare_gives(name: str) -> None:
    base = model(name)
    names = [DEFAULT] * len(read(base).calls)
    finished = finish(base, target=AVX512, variants=names)
    assert_same(finished, finish(base, target=AVX512))
    if name == "mixed":
        assert_same(finished, prepare(mixed(), target=AVX512))
    else:
        loaded = load(name)
        assert_same(finished, prepare(loaded.mod, loaded.params, target=AVX512))


def test_a_variant_changes_its_own_op_only() -> None:
    base = prepare_base(mixed(), target=TARGET)
    names = [DEFAULT] * len(read(base).calls)
    dense = operators(base).index("nn.dense")
    names[dense] = "plain"
    usual, changed = finish(base, target=TARGET), finish(base, target=TARGET, variants=names)
    assert operators(usual).count("nn.contrib_dense_pack") == 1
    expected = ["nn.dense" if name == "nn.contrib_dense_pack" else name for name in operators(usual)]
    assert operators(changed) == expected
    assert_same(finish(base, target=TARGET), usual)  # nothing is left behind in TVM's registry


def test_every_op_says_where_it_came_from() -> None:
    for name in ("squeezenet", "bert2", "mixed"):
        base = model(name)
        before = read(base)
        for names in ([DEFAULT] * len(before.calls), suggested(before, AVX512)):
            after = read(finish(base, target=AVX512, variants=names))
            found = origins(after)
            assert len(found) == len(after.calls)
            for op, source in enumerate(found.tolist()):
                if source < 0:
                    assert after.operators[op].name == "layout_transform"
                elif after.operators[op].name not in ("reshape", "layout_transform") and names[source] == DEFAULT:
                    ours, theirs = (flow.operators[at].name for flow, at in ((before, source), (after, op)))
                    assert theirs == ours or theirs.startswith("nn.contrib")
            computed = {op for op, operator in enumerate(before.operators) if operator.name in ANCHORS}
            assert computed <= set(found.tolist())


ANCHORS = {"nn.conv2d", "nn.dense", "nn.batch_matmul", "nn.softmax", "mean"}


@pytest.mark.parametrize("name", ["NHWC/typo", "NT"])
def test_a_variant_that_does_not_apply_is_refused_with_those_that_do(name: str) -> None:
    base = prepare_base(mixed(), target=TARGET)
    names = [DEFAULT] * len(read(base).calls)
    op = operators(base).index("nn.dense")
    names[op] = name
    with pytest.raises(PlanError, match=rf"variant '{name}' does not apply to op {op}, nn.dense.*default.*plain") as e:
        finish(base, target=TARGET, variants=names)
    assert "\n" not in str(e.value)


def test_one_name_per_op_is_asked_for() -> None:
    base = prepare_base(mixed(), target=TARGET)
    with pytest.raises(PlanError, match=f"1 variants for a model of {len(read(base).calls)} ops"):
        finish(base, target=TARGET, variants=[DEFAULT])


def test_options_start_with_default_and_are_distinct() -> None:
    base = model("mixed")
    flow = read(base)
    listed = options(flow, AVX512)
    assert listed == options(base, AVX512)
    for names in listed:
        assert names[0] == DEFAULT
        assert len(set(names)) == len(names)
    assert suggested(base, AVX512) == suggested(flow, AVX512)
    for name, names in zip(suggested(base, AVX512), listed, strict=True):
        assert name in names


def test_targets_without_x86_schedules_get_no_blocks() -> None:
    base = model("mixed")
    names = {name for applying in options(base, "opencl") for name in applying}
    assert not any("NCHWc" in name or "packed" in name for name in names)
    assert set(suggested(base, "opencl")) == {DEFAULT}


def test_graphs_of_any_depth_can_take_variants() -> None:
    x = relay.var("x", shape=(8, 16))
    body, count = x, 3000
    for _ in range(count):
        body = relay.nn.relu(body)
    mod = with_deep_stack(as_module, relay.nn.dense(body, weight(32, 16)))
    base = prepare_base(mod, target=TARGET)
    names = [applying[-1] for applying in options(base, TARGET)]
    assert operators(finish(base, target=TARGET, variants=names))[-1] == "nn.contrib_dense_pack"


def test_suggestions_keep_the_numbers() -> None:
    base = prepare_base(mixed(), target=TARGET)
    finished = finish(base, target=TARGET, variants=suggested(base, TARGET))
    assert_constants_are_folded(finished)
    assert_same_numbers(mixed(), finished)


def test_options_of_wide_graphs_are_those_of_their_ops() -> None:
    base = prepare_base(as_module(wide(60).body), target=TARGET)
    assert len(options(base, TARGET)) == len(read(base).calls)


def test_a_scale_that_tvm_folds_into_a_weight_is_taken_out_again() -> None:
    x, row = relay.var("x", shape=(4, 32)), relay.var("row", shape=(32,))
    mod = as_module(relay.nn.dense(relay.multiply(x, row), weight(48, 32)))
    base = prepare_base(mod, target=TARGET)
    names = suggested(base, TARGET)
    assert names == [DEFAULT, "unscaled"]
    finished = finish(base, target=TARGET, variants=names)
    flow = read(finished)
    packed = flow.uses[operators(finished).index("nn.contrib_dense_pack")][1]
    assert isinstance(packed, int)
    assert flow.values[packed].kind == ValueKind.CONSTANT
    assert_same_numbers(mod, finished)
