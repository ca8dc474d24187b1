"""Greedy: from unfused ops, the merge that saves most first."""

from __future__ import annotations

import numpy as np

from tvm_go.search.problem import Problem
from tvm_go.search.sites import edge_classes


def search(problem: Problem, rng: np.random.Generator) -> None:
    """Merge the class of edges that saves most per place, everywhere, until no merge saves anything.

    One place of each class of alike edges is measured (:func:`edge_classes`).
    """
    kernel = np.arange(problem.graph.num_ops, dtype=np.int32)
    cost = problem.cost([kernel])[0]
    while cost is not None:
        crossing = np.flatnonzero(kernel[problem.graph.edge_src] != kernel[problem.graph.edge_dst])
        classes = edge_classes(problem.graph, kernel)[crossing]
        firsts = crossing[np.unique(classes, return_index=True)[1]].astype(np.int32)
        merges = [problem.merged(kernel, firsts[i : i + 1]) for i in range(len(firsts))]
        changed = [i for i, merge in enumerate(merges) if not np.array_equal(merge, kernel)]
        costs = problem.cost([merges[i] for i in changed])
        saved = [cost - other if other is not None else -np.inf for other in costs]
        best = max(range(len(saved)), key=saved.__getitem__, default=None)
        if best is None or not saved[best] > 0:
            return
        first = firsts[changed[best]]
        alike = crossing[classes == classes[np.flatnonzero(crossing == first)[0]]].astype(np.int32)
        everywhere = problem.merged(kernel, alike)
        after = problem.cost([everywhere])[0]
        if after is not None and after < cost:
            kernel, cost = everywhere, after
        else:
            kernel, cost = merges[changed[best]], cost - saved[best]
