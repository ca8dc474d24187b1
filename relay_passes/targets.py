"""Targets: parse what the user names, fill in this machine, and enter the scopes that `relay.build` enters."""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import platform
from collections.abc import Iterator

import tvm
from tvm import autotvm
from tvm.target import codegen

from relay_passes.back_ends import check_llvm
from relay_passes.boards import BOARDS, board_target
from tvm_go.errors import UsageError


def as_target(target: str | tvm.target.Target) -> tvm.target.Target:
    """A TVM target from its text: TVM's own, the name of a board, or ``native``, this machine's CPU.

    Raises
    ------
    UsageError
        If TVM does not know the target, or LLVM does not know its architecture or its ``-mcpu``.
    """
    if isinstance(target, tvm.target.Target):
        return _with_float_abi(target)
    try:
        parsed = tvm.target.Target(target_text(target))
    except (ValueError, tvm.TVMError) as error:
        known = ", ".join(sorted(str(kind) for kind in tvm.target.Target.list_kinds() if "test" not in str(kind)))
        raise UsageError(
            f"unknown target '{target}' ({_reason(error)}); kinds: {known}; boards: {', '.join(BOARDS)}; or 'native'"
        ) from error
    check_llvm(parsed)
    _check_mcpu(parsed)
    return _with_float_abi(parsed)


def target_text(target: str) -> str:
    """What TVM parses: in the place of ``native`` and of boards their targets."""
    return native_target_text() if target.strip() == "native" else board_target(target) or target


def takes_tir(target: tvm.target.Target) -> bool:
    """Whether the generic TIR schedule serves a target: a CPU, or a device whose kernels run on threads."""
    return str(target.kind.name) == "llvm" or has_threads(target)


def has_threads(target: tvm.target.Target) -> bool:
    """Whether a target's kernels run on threads in groups, as on OpenCL devices and GPUs."""
    return "gpu" in target.keys


@functools.cache
def native_target_text() -> str:
    """``llvm`` with this machine's CPU model and the number of cores that this process may use.

    TVM chooses its schedules for ARM by the triple, and takes a target without one for x86.
    """
    triple = "" if platform.machine() == "x86_64" else f" -mtriple={codegen.llvm_get_system_triple()}"
    return f"llvm{triple} -mcpu={codegen.llvm_get_system_cpu()} -num-cores={len(os.sched_getaffinity(0))}"


def _check_mcpu(target: tvm.target.Target) -> None:
    """TVM takes any -mcpu and LLVM then compiles for a generic CPU, with a warning at most: ask LLVM first."""
    if target.kind.name != "llvm" or not target.mcpu:
        return
    triple = str(target.attrs.get("mtriple", ""))
    known = codegen.llvm_get_cpu_archlist(tvm.target.Target(f"llvm -mtriple={triple}" if triple else "llvm"))
    if target.mcpu not in known:
        near = difflib.get_close_matches(target.mcpu, known, n=5) or sorted(known)[:5]
        raise UsageError(
            f"unknown -mcpu={target.mcpu} in target '{target}'; did you mean {', '.join(near)}? "
            f"This machine is {codegen.llvm_get_system_cpu()} (target 'native')"
        )


def _with_float_abi(target: tvm.target.Target) -> tvm.target.Target:
    """TVM passes floats in integer registers on 32-bit ARM unless told not to; a hard-float system cannot link that."""
    if target.kind.name != "llvm" or "mfloat-abi" in target.attrs:
        return target
    is_hard = str(target.attrs.get("mtriple", "")).endswith("eabihf")
    return tvm.target.Target(f"{target} -mfloat-abi=hard") if is_hard else target


def _reason(error: Exception) -> str:
    """The line of a TVM error that says what is wrong."""
    lines = [line for line in str(error).splitlines() if "Error" in line]
    text = lines[-1] if lines else str(error).splitlines()[-1]
    return text.split("Error: ")[-1].split("Target creation from string failed")[0].strip(" .")


@contextlib.contextmanager
def build_scopes(target: tvm.target.Target, *others: tvm.target.Target) -> Iterator[None]:
    """The scopes under which `relay.build` at opt level 3 runs its passes and picks its schedules.

    With ``others`` for several devices, of which the first runs the passes.
    """
    tophub: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if isinstance(autotvm.DispatchContext.current, autotvm.FallbackContext):
        tophub = autotvm.tophub.context([target, *others])
    with tophub, target, tvm.transform.PassContext(opt_level=3):
        yield
