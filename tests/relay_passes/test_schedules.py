"""The generic TIR schedule takes kernels of every sort, and gives the numbers of their ops one by one."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relay

from cost_model.kernel_inputs import Array, input_range, random_inputs
from cost_model.lowering import compile_functions, lower_primitive, tensor_specs
from cost_model.reference import UnfusedOps
from relay_passes.lowering import computation_of
from relay_passes.numerics import compare
from relay_passes.schedules import NotSchedulableError, normalized
from relay_passes.schedules.tiling import Machine, register_tiles
from relay_passes.targets import as_target, build_scopes
from tests.cost_model.kernels import parameter
from tests.relay_passes.one_kernel import kernel
from tests.relay_passes.schedule_kernels import KERNELS
from tvm_go.lowering import TIR, Lowering

#: Targets, and the CPU features that their code needs.
TARGETS = {
    "llvm": set[str](),
    "llvm -mcpu=core-avx2": {"avx2", "fma"},
    "llvm -mcpu=skylake-avx512": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}

_unfused = UnfusedOps()


@functools.cache
def cpu_flags() -> frozenset[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


@functools.cache
def known(name: str) -> tuple[relay.Function, list[Array], list[Array]]:
    """A kernel with inputs and what it should give."""
    function = KERNELS[name]()
    specs = tuple(spec for parameter in function.params for spec in tensor_specs(parameter.checked_type))
    inputs = random_inputs(specs, input_range(function), hashlib.sha256(name.encode()).hexdigest()[:32])
    _unfused.compile_ops([function])
    return function, inputs, _unfused.outputs(function, inputs)


def run(function: relay.Function, inputs: list[Array], target: tvm.target.Target, lowering: Lowering) -> list[Array]:
    with build_scopes(target):
        library = compile_functions({"kernel": lower_primitive(function, target, "kernel", lowering)}, target)
    outputs = [tvm.nd.empty(spec.shape, spec.dtype) for spec in tensor_specs(function.body.checked_type)]
    library["kernel"](*(tvm.nd.array(array) for array in inputs), *outputs)
    return [output.numpy() for output in outputs]


def assert_close(actual: list[Array], expected: list[Array]) -> None:
    for one, other in zip(actual, expected, strict=True):
        ok, error = compare(one, other)
        assert ok
        assert error <= (1e-4 if one.dtype != np.float16 else 2e-3)


#: TVM accumulates by code of its own on CPUs: nothing is left to schedule.
REFUSED = ["cumsum"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [name for name in KERNELS if name not in REFUSED])
def test_a_kernel_keeps_its_numbers(name: str, target: str) -> None:
    if missing := TARGETS[target] - cpu_flags():
        pytest.skip(f"this CPU has no {', '.join(sorted(missing))}")
    function, inputs, expected = known(name)
    try:
        actual = run(function, inputs, as_target(target), TIR)
    except tvm.TVMError as error:
        if name == "argmax" and "#dbg_declare must be" in str(error):
            pytest.skip("LLVM 22 refuses the float `Let` of TVM's argmax; its TE schedule has none")
        raise
    assert_close(actual, expected)


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_schedule_is_refused_with_one_line(name: str) -> None:
    with pytest.raises(NotSchedulableError, match="only TE's schedule takes it") as caught:
        run(*known(name)[:2], as_target("llvm"), TIR)
    assert "\n" not in str(caught.value)


def test_what_is_used_twice_at_each_step_does_not_double_without_end() -> None:
    value = parameter("x", 2, 8, 8)
    for _ in range(8):
        positive = relay.nn.relu(value)
        value = relay.maximum(relay.transpose(positive, (0, 2, 1)), value)
    target = as_target("llvm")
    with build_scopes(target):
        func = normalized(computation_of(kernel(value), target))
    loads: list[tvm.tir.BufferLoad] = []
    tvm.tir.stmt_functor.post_order_visit(
        func.body, lambda node: loads.append(node) if isinstance(node, tvm.tir.BufferLoad) else None
    )
    assert len(loads) < 100


def test_what_a_transform_computes_at_a_place_is_known_before_it_runs() -> None:
    target = as_target("llvm")
    with build_scopes(target):
        func = lower_primitive(KERNELS["winograd_block_4"](), target, "kernel", TIR)
    choices: list[str] = []

    def visit(node: object) -> None:
        if isinstance(node, tvm.tir.Select) or (isinstance(node, tvm.tir.Call) and "if_then_else" in str(node.op)):
            choices.append(str(node))

    tvm.tir.stmt_functor.post_order_visit(func.body, visit)
    assert len(choices) == 1  # the padding


@pytest.mark.parametrize(("columns", "shared_out"), [(128, False), (65_536, True)])
def test_a_row_is_shared_out_among_threads_if_that_takes_longer_than_to_start_them(
    columns: int, shared_out: bool
) -> None:
    target = as_target("llvm")
    x, y = parameter("x", 1, columns), parameter("y", 1, columns)
    for value in (x + y, relay.sigmoid(x) * y, relay.tanh(x)):
        with build_scopes(target):
            text = lower_primitive(kernel(value), target, "kernel", TIR).script()
        assert ("T.parallel" in text) == shared_out, text


@pytest.mark.parametrize("shape", [(32, 60, 100), (1, 4, 28, 28, 14), (3, 4, 50, 70), (96, 512), (17, 90, 144)])
def test_places_of_lanes_are_not_computed_one_by_one(shape: tuple[int, ...]) -> None:
    target = as_target("llvm -mcpu=skylake-avx512")
    x, y = parameter("x", *shape), parameter("y", *shape)
    for value in (x + y, relay.sigmoid(x) * y, relay.where(relay.greater(x, y), x, y)):
        with build_scopes(target):
            text = lower_primitive(kernel(value), target, "kernel", TIR).script()
        assert "// T.Broadcast" not in text, text


def test_a_value_that_several_outputs_share_is_kept_on_the_stack() -> None:
    x, y = parameter("x", 64, 512), parameter("y", 64, 512)
    product = x * y
    target = as_target("llvm")
    with build_scopes(target):
        function = kernel(relay.Tuple([product, relay.tanh(product)]))
        library = compile_functions({"kernel": lower_primitive(function, target, "kernel", TIR)}, target)
    assert "TVMBackendAllocWorkspace" not in library.get_source("ll")


def test_tiles_of_large_maps_leave_half_of_the_registers_free() -> None:
    machine = Machine(lanes=16, registers=32, cores=2)

    def held(pixels: int, width: int) -> int:
        tiles = register_tiles(4, (pixels,), machine, reused=True, outer=8, fused_width=width, is_map=True)
        _, columns, (rows,) = tiles[0]
        return columns * rows + columns

    assert held(56 * 56, 56) <= 16 < held(14 * 14, 14) <= 32
