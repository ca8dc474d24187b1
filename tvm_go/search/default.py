"""TVM's default: FuseOps' partition."""

from __future__ import annotations

import numpy as np

from tvm_go.search.problem import Problem


def search(problem: Problem, rng: np.random.Generator) -> None:
    """Nothing to look for: the default partition is measured before every search."""
