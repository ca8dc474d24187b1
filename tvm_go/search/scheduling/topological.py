"""The order in which the kernels stand: for a graph from Relay, the one in which TVM runs them."""

from __future__ import annotations

import numpy as np

from tvm_go.search.scheduling.list_schedule import priority_of
from tvm_go.search.scheduling.problem import SchedulingProblem


def search(problem: SchedulingProblem, rng: np.random.Generator) -> None:
    """Evaluate that one order."""
    problem.evaluate(priority_of(np.arange(problem.tensors.num_kernels, dtype=np.int32))[None])
