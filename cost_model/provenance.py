"""What a number depends on besides model and target: software versions and the host CPU."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import tvm
from tvm.target import codegen

import tvm_go


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    return (
        ("tvm", str(tvm.__version__)),
        ("tvm_go", tvm_go.__version__),
        ("llvm", str(codegen.llvm_version_major())),
        ("python", platform.python_version()),
    )


def versions() -> dict[str, str]:
    """Versions of the software that makes the numbers."""
    return dict(_versions())


@functools.cache
def host_cpu() -> str:
    """Model name of this machine's CPU."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
