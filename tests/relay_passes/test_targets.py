"""Targets: what the user names becomes a TVM target, or one clear line."""

from __future__ import annotations

import os

import pytest
import tvm

from relay_passes.targets import as_target
from tvm_go.errors import UsageError


def test_native_is_this_machine() -> None:
    target = as_target("native")
    assert target.kind.name == "llvm"
    assert target.mcpu == tvm.target.codegen.llvm_get_system_cpu()
    assert int(target.attrs["num-cores"]) == len(os.sched_getaffinity(0))


def test_text_and_target_pass_through() -> None:
    assert as_target("llvm -mcpu=core-avx2").mcpu == "core-avx2"
    target = tvm.target.Target("c")
    assert as_target(target) is target


@pytest.mark.parametrize("text", ["lvm", "llvm -mcpuu=core-avx2", "", "{"])
def test_unknown_targets_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"unknown target '.*kinds: .*llvm.*or 'native'") as caught:
        as_target(text)
    assert "\n" not in str(caught.value)


def test_an_mcpu_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown -mcpu=1 in target"):
        as_target("llvm -mcpu")


def test_an_unknown_mcpu_is_refused_with_near_names() -> None:
    with pytest.raises(UsageError, match=r"unknown -mcpu=skylakeavx512 .*did you mean .*skylake.*target 'native'"):
        as_target("llvm -mcpu=skylakeavx512")


def test_mcpu_of_another_architecture_is_asked_of_that_architecture() -> None:
    assert as_target("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72").mcpu == "cortex-a72"
    with pytest.raises(UsageError, match="unknown -mcpu=core-avx2"):
        as_target("llvm -mtriple=aarch64-linux-gnu -mcpu=core-avx2")


@pytest.mark.parametrize("is_text", [True, False])
def test_hard_float_systems_get_code_that_passes_floats_so(is_text: bool) -> None:
    text = "llvm -mtriple=armv7l-linux-gnueabihf"
    target = as_target(text if is_text else tvm.target.Target(text))
    assert target.attrs["mfloat-abi"] == "hard"
    assert str(as_target(str(target))) == str(target)
