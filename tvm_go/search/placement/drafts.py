"""Drafts: what the quick strategies find, for a policy to improve on."""

from __future__ import annotations

import numpy as np

from tvm_go.search.placement.portfolio import QUICK, available
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate import Machine, Workload

AUTHORS = ("expert", "critical_path", "m_etf", "metis")


def drafts(workload: Workload, machine: Machine, objective: str, rng: np.random.Generator) -> list[PlacementProblem]:
    """Problems that quick strategies have placed feasibly, in the order of `AUTHORS`; equal placements only once."""
    found: list[PlacementProblem] = []
    for name in available(AUTHORS):
        problem = PlacementProblem(workload, machine, objective)
        QUICK[name](problem, rng)
        if len(problem.best) and not any(np.array_equal(problem.best, other.best) for other in found):
            found.append(problem)
    return found
