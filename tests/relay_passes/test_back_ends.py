"""Back ends that a TVM lacks: one clear line, and never the end of the process."""

from __future__ import annotations

import pytest
import tvm
from tvm.target import codegen

from relay_passes.back_ends import check_back_end
from relay_passes.targets import as_target
from tvm_go.errors import UsageError


def _has(kind: str) -> bool:
    return tvm.get_global_func(f"target.build.{kind}", allow_missing=True) is not None


@pytest.mark.parametrize("kind", ["cuda", "vulkan", "metal", "opencl", "webgpu", "c"])
def test_back_ends_are_taken_where_tvm_has_them(kind: str) -> None:
    target = as_target(kind)
    if _has(kind):
        check_back_end(target)
        return
    with pytest.raises(UsageError, match=f"without the back end '{kind}'.*it has .*llvm.*USE_{kind.upper()}=ON"):
        check_back_end(target)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("llvm -mtriple=riscv64-linux-gnu -mcpu=sifive-u74", "riscv64"),
        ("llvm -mtriple=riscv64-linux-gnu", "riscv64"),
        ("hexagon -mcpu=hexagonv68", "hexagon"),
        ("rocm -mcpu=gfx900", "amdgcn"),
    ],
)
def test_architectures_are_taken_where_llvm_has_them(text: str, needs: str) -> None:
    if needs in list(codegen.llvm_get_targets()):
        check_back_end(as_target(text))
        return
    with pytest.raises(UsageError, match=f"generates no code for {needs}, which target .* install a TVM whose LLVM"):
        check_back_end(as_target(text))


def test_the_host_of_a_gpu_is_asked_of_as_well() -> None:
    with pytest.raises(UsageError, match="generates no code for mips"):
        check_back_end(tvm.target.Target("opencl", host="llvm -mtriple=mips-linux-gnu"))
