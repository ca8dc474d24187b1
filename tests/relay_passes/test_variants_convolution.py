"""Layouts of convolutions: where each applies, what it becomes, what happens around it, and the same numbers."""

from __future__ import annotations

import pytest
import tvm
from tvm import relay

from relay_passes.dataflow import read
from relay_passes.prepare import finish, prepare_base
from relay_passes.variants import DEFAULT, options, origins, suggested
from relay_passes.variants.convolution import CONV2D
from relay_passes.winograd import OPERATOR
from tests.relay_passes.test_variants import (
    AVX512,
    TARGET,
    as_module,
    assert_constants_are_folded,
    assert_same_numbers,
    finish_as,
    operators,
    weight,
)

SHAPES = {
    "plain": (32, 48, 3, 1),
    "depthwise": (32, 32, 3, 32),
    "grouped": (32, 64, 3, 4),
    "pointwise": (48, 32, 1, 1),
    "image": (3, 32, 3, 1),
    "odd": (16, 20, 3, 1),
    "products": (24, 40, 1, 4),
}
"""Input channels, output channels, window, groups."""
WINOGRAD = ("winograd/2", "winograd/4")


def conv(kind: str, *, stride: int = 1, size: int = 9) -> tvm.IRModule:
    """A convolution between ops that a layout passes through."""
    inputs, out, window, groups = SHAPES[kind]
    x = relay.nn.relu(relay.var("x", shape=(1, inputs, size, size)))
    y = relay.nn.conv2d(
        x,
        weight(out, inputs // groups, window, window),
        strides=(stride, stride),
        padding=(window // 2, window // 2),
        channels=out,
        kernel_size=(window, window),
        groups=groups,
    )
    return as_module(relay.nn.relu(relay.nn.bias_add(y, weight(out, seed=1))))


def options_of(mod: tvm.IRModule, target: str = TARGET) -> tuple[str, ...]:
    base = prepare_base(mod, target=target)
    return options(base, target)[operators(base).index("nn.conv2d")]


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", [variant.name for variant in CONV2D if variant.join is None])
def test_layouts_keep_the_numbers(name: str, kind: str) -> None:
    mod = conv(kind, stride=2 if kind == "plain" else 1)
    if name not in options_of(mod):
        pytest.skip("does not apply")
    finished = finish_as(mod, name)
    assert_constants_are_folded(finished)
    assert_same_numbers(mod, finished)


@pytest.mark.parametrize(
    ("kind", "name", "data", "kernel", "out"),
    [
        ("plain", "NCHW", "NCHW", "OIHW", ""),
        ("plain", "NCHWc/8", "NCHW8c", "OIHW8i8o", "NCHW8c"),
        ("plain", "NCHWc/16", "NCHW16c", "OIHW16i16o", "NCHW16c"),
        ("plain", "NCHWc/32", "NCHW32c", "OIHW32i24o", "NCHW24c"),
        ("plain", "NHWC", "NHWC", "HWIO", "NHWC"),
        ("image", "NCHWc/16", "NCHW3c", "OIHW3i16o", "NCHW16c"),
        ("depthwise", "NCHWc/16", "NCHW16c", "OIHW1i16o", "NCHW16c"),
        ("depthwise", "NHWC", "NHWC", "HWOI", "NHWC"),
        ("grouped", "NCHWc/16", "NCHW8c", "OIHW8i16o", "NCHW16c"),
        ("grouped", "NHWC", "NHWC", "HWIO", "NHWC"),
    ],
)
def test_layouts_are_what_the_name_says(kind: str, name: str, data: str, kernel: str, out: str) -> None:
    flow = read(finish_as(conv(kind), name))
    (call,) = (call for call in flow.calls if "conv2d" in call.op.name)
    assert (call.attrs.data_layout, call.attrs.kernel_layout, call.attrs.out_layout) == (data, kernel, out)


def test_options_leave_out_blocks_that_are_the_same() -> None:
    layouts = ("NCHW", "NCHWc/8", "NCHWc/16", "NCHWc/32", "NHWC")
    assert options_of(conv("plain")) == (DEFAULT, *layouts, "winograd/2", "winograd/4")
    assert "NCHWc/32" not in options_of(conv("grouped"))  # 8 and 16 channels in each group


def test_layouts_pass_through_the_ops_between() -> None:
    x = relay.var("x", shape=(1, 16, 8, 8))
    y = relay.nn.conv2d(x, weight(32, 16, 1, 1), channels=32, kernel_size=(1, 1))
    y = relay.concatenate([relay.nn.relu(y), relay.nn.max_pool2d(y, (3, 3), padding=(1, 1))], 1)
    y = relay.nn.conv2d(y, weight(16, 64, 1, 1), channels=16, kernel_size=(1, 1))
    mod = as_module(y)
    finished = finish_as(mod, "NCHWc/16")
    assert operators(finished).count("layout_transform") == 2  # of the input and the output
    assert_same_numbers(mod, finished)


def test_one_op_takes_its_variant_and_its_twin_does_not() -> None:
    """Also where both calls share one attributes object, as modules read from a file may."""
    x = relay.var("x", shape=(1, 16, 8, 8))
    first = relay.nn.conv2d(x, weight(16, 16, 1, 1), channels=16, kernel_size=(1, 1))
    second = relay.Call(first.op, [first, weight(16, 16, 1, 1, seed=1)], first.attrs)
    mod = as_module(second)
    base = prepare_base(mod, target=TARGET)
    finished = finish(base, target=TARGET, variants=[DEFAULT, "NHWC"])
    assert [call.attrs.data_layout for call in read(finished).calls if "conv2d" in call.op.name] == ["NCHW4c", "NHWC"]
    assert_same_numbers(mod, finished)


def test_other_layouts_and_types_keep_their_own_forms() -> None:
    x = relay.var("x", shape=(1, 8, 8, 16))
    last = relay.nn.conv2d(
        x, weight(3, 3, 16, 8), channels=8, kernel_size=(3, 3), data_layout="NHWC", kernel_layout="HWIO"
    )
    assert options_of(as_module(last)) == (DEFAULT,)


def test_rule_changes_grouped_convolutions_only() -> None:
    expected = {"grouped": "NCHWc/16", "products": "matmul"}
    for kind in SHAPES:
        base = prepare_base(conv(kind), target=AVX512)
        assert set(suggested(base, AVX512)) == {DEFAULT, expected.get(kind, DEFAULT)}


@pytest.mark.parametrize("stride", [1, 2])
def test_products_are_windows_of_one_that_move_by_one(stride: int) -> None:
    assert ("matmul" in options_of(conv("products", stride=stride))) == (stride == 1)
    assert "matmul" not in options_of(conv("grouped"))


def test_parallel_convolutions_become_one() -> None:
    x = relay.nn.relu(relay.var("x", shape=(1, 16, 8, 8)))

    def branch(out: int, window: int = 1, stride: int = 1) -> relay.Expr:
        padding = (window // 2, window // 2)
        y = relay.nn.conv2d(
            x,
            weight(out, 16, window, window, seed=out),
            strides=(stride, stride),
            padding=padding,
            channels=out,
            kernel_size=(window, window),
        )
        return relay.nn.relu(y)

    mod = as_module(relay.Tuple([branch(16), branch(24), branch(32, 3), branch(20), branch(8, stride=2)]))
    base = prepare_base(mod, target=TARGET)
    assert ["combined" in names for names, op in zip(options(base, TARGET), operators(base), strict=True)
            if op == "nn.conv2d"] == [True, True, False, True, False]  # fmt: skip
    finished = finish_as(mod, "combined")
    assert operators(finished).count("nn.contrib_conv2d_NCHWc") == 3
    assert_constants_are_folded(finished)
    assert_same_numbers(mod, finished)


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (0, 1, 2, 1)])
@pytest.mark.parametrize("size", [(9, 12), (3, 17)])
@pytest.mark.parametrize("name", WINOGRAD)
def test_winograd_fits_any_size_and_padding(name: str, size: tuple[int, int], padding: tuple[int, ...]) -> None:
    x = relay.nn.relu(relay.var("x", shape=(2, 8, *size)))
    y = relay.nn.conv2d(x, weight(12, 8, 3, 3), padding=padding, channels=12, kernel_size=(3, 3))
    mod = as_module(relay.tanh(y))
    finished = finish_as(mod, name)
    assert operators(finished).count(OPERATOR) == 1
    assert_constants_are_folded(finished)
    assert_same_numbers(mod, finished)


def test_winograd_hands_its_layout_on() -> None:
    x = relay.var("x", shape=(1, 16, 12, 12))
    y = relay.nn.conv2d(x, weight(16, 16, 1, 1), channels=16, kernel_size=(1, 1))
    for seed in range(2):
        y = relay.nn.relu(relay.nn.bias_add(y, weight(16, seed=seed)))
        y = relay.nn.conv2d(y, weight(16, 16, 3, 3, seed=seed), padding=(1, 1), channels=16, kernel_size=(3, 3))
    mod = as_module(relay.add(y, y))
    finished = finish_as(mod, "winograd/4")
    assert operators(finished).count("layout_transform") == 2  # of the input and the output
    flow = read(finished)
    numbers = origins(flow)[[name == OPERATOR for name in operators(finished)]]
    assert [read(prepare_base(mod, target=TARGET)).operators[op].name for op in numbers] == ["nn.conv2d"] * 2
    assert_same_numbers(mod, finished)


def test_winograd_is_for_whole_vectors_of_float32() -> None:
    def names(inputs: int, outputs: int, dtype: str = "float32") -> tuple[str, ...]:
        x = relay.var("x", shape=(1, inputs, 9, 9), dtype=dtype)
        y = relay.nn.conv2d(x, relay.cast(weight(outputs, inputs, 3, 3), dtype), channels=outputs, kernel_size=(3, 3))
        return options_of(as_module(y))

    assert set(WINOGRAD) <= set(names(8, 12))
    for given in ((6, 8), (8, 10), (8, 8, "float16"), (8, 8, "float64")):
        assert not set(WINOGRAD) & set(names(*given))


def test_rule_takes_winograd_for_many_tiles_over_many_channels() -> None:
    def names(inputs: int, outputs: int, size: int, target: str = AVX512, *, by_tir: bool = True) -> set[str]:
        x = relay.var("x", shape=(1, inputs, size, size))
        y = relay.nn.conv2d(x, weight(outputs, inputs, 3, 3), padding=(1, 1), channels=outputs, kernel_size=(3, 3))
        return set(suggested(prepare_base(as_module(y), target=target), target, by_tir=by_tir))

    assert names(64, 64, 28) == names(128, 32, 14) == {"winograd/4"}
    assert names(256, 128, 14) == {"winograd/2"}
    assert names(64, 64, 7) == names(16, 16, 28) == names(64, 60, 28) == {DEFAULT}
    assert names(64, 64, 28, TARGET) == names(64, 64, 28, by_tir=False) == {DEFAULT}


@pytest.mark.parametrize(
    "change", [{"strides": (2, 2)}, {"dilation": (2, 2)}, {"groups": 2}, {"kernel_size": (1, 1)}], ids=str
)
def test_winograd_is_for_single_steps_of_three_by_three(change: dict[str, object]) -> None:
    options_given: dict[str, object] = {"kernel_size": (3, 3), "groups": 1, **change}
    window, groups = options_given["kernel_size"], options_given["groups"]
    assert isinstance(window, tuple)
    assert isinstance(groups, int)
    x = relay.var("x", shape=(1, 8, 9, 9))
    y = relay.nn.conv2d(x, weight(8, 8 // groups, *window), channels=8, **options_given)
    assert not any("winograd" in name for name in options_of(as_module(y)))


def test_split_makes_one_convolution_per_group() -> None:
    finished = finish_as(conv("grouped"), "split")
    assert operators(finished).count("nn.contrib_conv2d_NCHWc") == 4
    assert "split" not in options_of(conv("depthwise"))
