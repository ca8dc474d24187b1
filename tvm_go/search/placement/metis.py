"""Parts of equal work with few bytes between them, by METIS, on a coarsened graph."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tvm_go.errors import UsageError
from tvm_go.graph import Int32, Int64
from tvm_go.merge import components
from tvm_go.search.placement._construct import Classes, Plan, classes_of, has_room, offer, roomiest
from tvm_go.search.placement.expert import fast_devices
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.workload import Floats, Workload

_IMBALANCES = (1, 5, 20, 60)  # per cent
_CAPPINGS = 20  # METIS fails, and prints so, where a single vertex outweighs a part
_VERTICES_PER_PART = 4  # with fewer there is nothing to partition
_LARGEST_WEIGHT = 10_000  # METIS sums weights in 32 bits


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Partition by METIS (Karypis and Kumar, SIAM J. Sci. Comput. 1998), one part for each fast device.

    Colocation classes are vertices, weighed by work; bytes between them are edges. A class that has one reader whose
    only producer it is, and whose tensor takes longer to move than the reader to run, becomes one vertex with that
    reader. Parts are numbered along the graph, and what does not fit in a device's memory moves to where there is room.
    Several imbalances are tried.

    Raises
    ------
    UsageError
        If pymetis is not installed.
    """
    try:
        import pymetis
    except ImportError:
        raise UsageError("strategy metis needs pymetis; install it with: pip install 'tvm-go[placement]'") from None
    classes = classes_of(problem)
    fast = fast_devices(classes.ms)
    vertex, work, starts, others, weights = _coarse(problem.workload, classes, fast)
    if len(work) < _VERTICES_PER_PART * len(fast) or len(fast) == 1:
        offer(problem, plan_with_room(problem, fast[vertex * len(fast) // (int(vertex.max(initial=0)) + 1)]))
        return
    for imbalance in _IMBALANCES:
        if problem.exhausted:
            return
        options = pymetis.Options(ufactor=10 * imbalance, seed=int(rng.integers(2**31 - 1)))
        answer = pymetis.part_graph(
            len(fast), pymetis.CSRAdjacency(starts, others), vweights=work, eweights=weights, recursive=False,
            options=options,
        )  # fmt: skip
        part = np.asarray(answer.vertex_part)[vertex]
        offer(problem, plan_with_room(problem, fast[_along(part, len(fast))]))


def plan_with_room(problem: PlacementProblem, home: Int32) -> Plan:
    """The devices of classes, int32 [C], as far as there is room; see `tvm_go.search.placement._construct.offer`."""

    def plan(classes: Classes) -> tuple[Int32, Floats | None]:
        return _with_room(home, classes.ms, classes.need_bytes, classes.memory_bytes)[problem.workload.colocation], None

    return plan


def _coarse(workload: Workload, classes: Classes, fast: Int32) -> tuple[Int32, Int64, Int64, Int64, Int64]:
    """Vertex of each class, [C]; work of each vertex, and its neighbours with weights, as METIS reads them."""
    count = workload.num_classes
    ends = workload.colocation[workload.edge_src], workload.colocation[workload.edge_dst]
    between = ends[0] != ends[1]
    moved_bytes = workload.output_bytes[workload.edge_src][between]
    source, reader, size = _summed(ends[0][between], ends[1][between], moved_bytes, count)
    ms = np.where(np.isfinite(classes.ms), classes.ms, 0.0)[:, fast].mean(axis=1)
    costs = classes.costs
    ms_per_byte = (1.0 / costs.bytes_per_ms[np.ix_(fast, fast)]).max(initial=0.0)
    alone = (np.bincount(source, minlength=count)[source] == 1) & (np.bincount(reader, minlength=count)[reader] == 1)
    heavy = alone & (size * ms_per_byte > ms[reader])
    vertex = components(count, source[heavy].astype(np.int32), reader[heavy].astype(np.int32))
    number = int(vertex.max(initial=-1)) + 1
    ends = vertex[source], vertex[reader]
    between = ends[0] != ends[1]
    both = np.concatenate([ends[0][between], ends[1][between]]), np.concatenate([ends[1][between], ends[0][between]])
    one, other, size = _summed(*both, np.tile(size[between], 2), number)
    starts = np.searchsorted(one, np.arange(number + 1)).astype(np.int64)
    work = np.bincount(vertex, weights=ms, minlength=number).astype(np.float64)
    for _ in range(_CAPPINGS):
        work = np.minimum(work, work.sum() / (2 * len(fast)))
    return vertex, _whole(work), starts, other, np.maximum(_whole(size), 1)


def _summed(
    one: NDArray[np.integer], other: NDArray[np.integer], size: Floats, count: int
) -> tuple[Int64, Int64, Floats]:
    """Edges between the same two vertices as one, sorted."""
    keys, inverse = np.unique(one.astype(np.int64) * count + other, return_inverse=True)
    sums = np.bincount(inverse, weights=size, minlength=len(keys)).astype(np.float64)
    return keys // max(count, 1), keys % max(count, 1), sums


def _whole(values: Floats) -> Int64:
    """Whole numbers in proportion, so small that METIS can add all of them."""
    scale = min(_LARGEST_WEIGHT / max(values.max(initial=0.0), 1e-300), 2**30 / max(values.sum(), 1e-300))
    return np.rint(values * scale).astype(np.int64)


def _along(part: Int64, count: int) -> Int64:
    """The parts, numbered by the mean place of their classes."""
    sums = np.bincount(part, weights=np.arange(len(part)), minlength=count)
    mean = sums / np.maximum(np.bincount(part, minlength=count), 1)
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(mean, kind="stable")] = np.arange(count)
    return rank[part]


@njit(cache=True, nogil=True)
def _with_room(home: Int32, ms: Floats, need_bytes: Floats, memory_bytes: Floats) -> Int32:
    """What does not fit, or cannot run there, goes to the roomiest device."""
    result = home.copy()
    used = np.zeros(len(memory_bytes), dtype=np.float64)
    for label in range(len(home)):
        device = home[label]
        if not has_room(ms[label, device], need_bytes[label], used[device], memory_bytes[device]):
            device = roomiest(ms[label], used, memory_bytes)
        result[label] = device
        used[device] += need_bytes[label]
    return result
