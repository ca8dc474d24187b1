"""The generic TIR schedule for devices with threads: groups that every device takes, its vectors, no shared memory."""

from __future__ import annotations

import functools
import itertools
import math
import re

import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st

from cost_model.lowering import compile_functions, lower_primitive
from relay_passes.schedules.threads import group_of
from relay_passes.targets import build_scopes
from tests.relay_passes.schedule_kernels import KERNELS
from tvm_go.lowering import TE, TIR

_NAMES = (
    "conv_3x3",
    "conv_55x55_map",
    "conv_nchw_odd",
    "winograd",
    "depthwise",
    "dense_odd_rows",
    "dense_pack",
    "matmul_nt_odd",
    "max_pool",
    "softmax",
    "attention_scores",
    "layer_norm",
    "argmax",
    "sum_all",
    "scalars",
    "transpose",
    "gelu",
)
#: Targets, and the longest vectors of each.
_TARGETS = {"opencl": 16, "opencl -device=mali": 4}
_OWN_STRATEGY = [("winograd", "opencl -device=mali")]  # TVM's, which knows no blocks


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_a_group_is_small_ends_where_loops_do_and_leaves_work_for_others(extents: list[int]) -> None:
    whole, part = group_of(extents)
    size = part * math.prod(extents[len(extents) - whole :])
    assert 1 <= size <= 64
    assert whole == len(extents) or extents[-1 - whole] % part == 0
    assert size == 1 or math.prod(extents) // size >= 16


@functools.cache
def lowered(name: str, text: str) -> tuple[tvm.tir.PrimFunc, str]:
    """A kernel by TIR, and its OpenCL code."""
    target = tvm.target.Target(text, host="llvm")
    with build_scopes(target):
        func = lower_primitive(KERNELS[name](), target, "kernel", TIR)
        library = compile_functions({"kernel": func}, target)
    return func, str(library.imported_modules[0].get_source())


@pytest.mark.parametrize(
    ("name", "text"), [pair for pair in itertools.product(_NAMES, _TARGETS) if pair not in _OWN_STRATEGY]
)
def test_a_kernel_has_small_groups_known_vectors_and_no_shared_memory(name: str, text: str) -> None:
    func, source = lowered(name, text)
    threads: list[int] = []

    def visit(node: object) -> None:
        if not isinstance(node, tvm.tir.AttrStmt) or node.attr_key != "thread_extent":
            return
        if str(node.node.thread_tag).startswith("threadIdx"):
            threads.append(int(node.value))

    tvm.tir.stmt_functor.post_order_visit(func.body, visit)
    assert threads and max(threads) <= 64
    lanes = {int(found) for found in re.findall(r"\b(?:float|int|uint|char|long)(\d+)\b", source)}
    assert max(lanes, default=1) <= _TARGETS[text]
    assert "barrier(" not in source
    assert "__local" not in source


def test_forms_that_te_lacks_on_the_device_are_refused_with_one_line() -> None:
    target = tvm.target.Target("opencl", host="llvm")
    with pytest.raises(Exception, match="TE has no schedule for the CPU's form of this op on opencl"):  # noqa: SIM117
        with build_scopes(target):
            lower_primitive(KERNELS["dense_pack"](), target, "kernel", TE)
