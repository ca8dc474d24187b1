"""What this build of TVM can generate code for, asked before TVM finds out in the middle of a build."""

from __future__ import annotations

import tvm
from tvm.target import codegen

from relay_passes.export import architecture_of
from tvm_go.errors import UsageError

_BY_LLVM = {"hexagon": "hexagon", "rocm": "amdgcn", "nvptx": "nvptx64"}
_LLVM_NAMES = {"i686": "i386", "powerpc64le": "ppc64le", "powerpc64": "ppc64"}


def check_back_end(target: tvm.target.Target) -> None:
    """Make sure that this TVM has what a target and its host need.

    Raises
    ------
    UsageError
        If it was built without the target's back end, or its LLVM without the architecture.
    """
    kind = str(target.kind.name)
    if not _is_built(kind):
        kinds = sorted(name for name in map(str, tvm.target.Target.list_kinds()) if _is_built(name))
        raise UsageError(
            f"this TVM was built without the back end '{kind}' (it has {', '.join(kinds)}); "
            f"choose one of these, or install a TVM that was built with USE_{kind.upper()}=ON"
        )
    check_llvm(target)
    if target.host is not None:
        check_llvm(target.host)


def check_llvm(target: tvm.target.Target) -> None:
    """Make sure that LLVM knows the architecture of a target: asked anything about another, it ends the process.

    Raises
    ------
    UsageError
        If this TVM's LLVM has no code generator for it.
    """
    kind = str(target.kind.name)
    architecture = architecture_of(target) if kind == "llvm" else _BY_LLVM.get(kind)
    if architecture is None:
        return
    known = [str(name) for name in codegen.llvm_get_targets()]
    if _LLVM_NAMES.get(architecture, architecture) not in known:
        raise UsageError(
            f"the LLVM of this TVM generates no code for {architecture}, which target '{kind}' needs here (it knows "
            f"{', '.join(known)}); install a TVM whose LLVM has it, or choose another target"
        )


def _is_built(kind: str) -> bool:
    return tvm.get_global_func(f"target.build.{kind}", allow_missing=True) is not None
