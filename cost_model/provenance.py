"""What a number depends on besides model and target: software versions and the host CPU."""

from __future__ import annotations

import functools
import platform

import tvm
from tvm.target import codegen

import tvm_go
from cost_model.server import cpu_model


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
    return cpu_model()
