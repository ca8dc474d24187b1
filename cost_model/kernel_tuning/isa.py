"""Classes of CPUs that can share tuned kernels: schedules depend on the length of the vector registers first."""

from __future__ import annotations

import tvm
from tvm.target import codegen

from relay_passes.targets import as_target

ISAS = {"avx512": ["avx512f", "avx512bw", "avx512vl"], "avx2": ["avx2", "fma"]}
"""LLVM's names of what each class must have, the best class first."""


def isa_of(target: str | tvm.target.Target) -> str | None:
    """Class of a target by what LLVM knows of its ``-mcpu`` and ``-mattr``; None for all but x86 CPUs with AVX2."""
    parsed = as_target(target)
    if parsed.kind.name != "llvm":
        return None
    return next((isa for isa, features in ISAS.items() if codegen.target_has_features(features, parsed)), None)
