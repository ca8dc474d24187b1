"""Write built code as a shared library for its target: with a cross compiler where that is another machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path
from typing import Any

import tvm
from tvm.contrib import cc

from tvm_go.errors import UsageError

CROSS_COMPILER = "TVM_GO_CROSS_COMPILER"
"""Environment variable that names the compiler which links for another machine."""

_DEBIAN_ENVIRONMENTS = ("gnu", "gnueabi", "gnueabihf")


def export_library(module: Any, path: Path, target: tvm.target.Target) -> None:
    """Write a built module, or a graph executor's factory, as a shared library that runs where its target is.

    Parameters
    ----------
    module : tvm.runtime.Module or GraphExecutorFactoryModule
        What `tvm.build` or `relay.build` made for the target.
    path : pathlib.Path
        The library to write.
    target : tvm.target.Target
        Of a GPU, its host counts.

    Raises
    ------
    UsageError
        See :func:`cross_compiler_of`.

    Examples
    --------
    >>> lib = tvm_go.build(mod, params, target="rpi4")  # doctest: +SKIP
    >>> export_library(lib, Path("model.so"), as_target("rpi4"))  # doctest: +SKIP
    """
    compiler = cross_compiler_of(target)
    module.export_library(str(path), fcompile=cc.cross_compiler(compiler) if compiler else cc.create_shared)


def cross_compiler_of(target: tvm.target.Target) -> str | None:
    """The compiler that links for a target: what `TVM_GO_CROSS_COMPILER` says, else GCC by its Debian name.

    Returns
    -------
    str or None
        None where the target is the architecture and the system of this machine.

    Raises
    ------
    UsageError
        If it is not installed, or if nothing but the variable could name it.
    """
    triple = _triple_of(target)
    if _is_here(triple):
        return None
    chosen = os.environ.get(CROSS_COMPILER)
    compiler = chosen or _debian_name(triple)
    if compiler is None:
        raise UsageError(
            f"no cross compiler is known for '{triple}': name one in the variable {CROSS_COMPILER}, "
            "for instance a clang of the Android NDK"
        )
    if shutil.which(compiler) is None:
        package = f"install the Debian package gcc-{compiler.removesuffix('-gcc').replace('_', '-')}, or name another"
        advice = "correct it" if chosen else f"{package} in the variable {CROSS_COMPILER}"
        named = f", which {CROSS_COMPILER} names" if chosen else ""
        raise UsageError(f"linking for '{triple}' needs the cross compiler {compiler}{named}: it is missing; {advice}")
    return compiler


def architecture_of(target: tvm.target.Target) -> str:
    """Architecture of the CPU that runs a target's host code, as Linux names it: ``x86_64``, ``aarch64``, ``arm``."""
    triple = _triple_of(target)
    return _architecture(triple.partition("-")[0] if triple else platform.machine())


def _triple_of(target: tvm.target.Target) -> str:
    """LLVM's ``-mtriple`` of the host code; empty where it is for this machine."""
    return str((target.host or target).attrs.get("mtriple", ""))


def _architecture(name: str) -> str:
    known = {"arm64": "aarch64", "amd64": "x86_64"}
    if re.fullmatch(r"(arm|thumb)(v\d+[a-z]*)?", name):
        return "arm"
    return "i686" if re.fullmatch(r"i[3-6]86", name) else known.get(name, name)


def _is_here(triple: str) -> bool:
    if not triple:
        return True
    same = _architecture(triple.partition("-")[0]) == _architecture(platform.machine())
    return same and "linux" in triple and triple.rpartition("-")[2] in _DEBIAN_ENVIRONMENTS


def _debian_name(triple: str) -> str | None:
    environment = triple.rpartition("-")[2]
    if "linux" not in triple or environment not in _DEBIAN_ENVIRONMENTS:
        return None
    return f"{_architecture(triple.partition('-')[0])}-linux-{environment}-gcc"
