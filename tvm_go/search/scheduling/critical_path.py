"""First what the most work still waits for: the longest path from each kernel to the end (the rank of HEFT)."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.search.scheduling.problem import SchedulingProblem
from tvm_go.simulate.workload import Floats


def search(problem: SchedulingProblem, rng: np.random.Generator) -> None:
    """Evaluate that one order."""
    problem.evaluate(_upward_rank(problem.length, *problem.tensors.readers)[None])


@njit(cache=True, nogil=True)
def _upward_rank(length: Floats, reader_start: Int64, reader: Int32) -> Floats:
    """Topcuoglu et al., "Performance-effective and low-complexity task scheduling", 2002, with given devices."""
    rank = np.zeros(len(length))
    for kernel in range(len(length) - 1, -1, -1):
        for i in range(reader_start[kernel], reader_start[kernel + 1]):
            rank[kernel] = max(rank[kernel], rank[reader[i]])
        rank[kernel] += length[kernel]
    return rank
