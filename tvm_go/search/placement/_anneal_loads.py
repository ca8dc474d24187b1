"""Annealing for throughput, compiled: each move changes the loads, a move that is refused is taken back."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.search.placement._clusters import Clusters, Loads, loads_of, move
from tvm_go.search.placement._xorshift import State, below, uniform
from tvm_go.simulate.workload import Floats

# What stands besides the largest load: how many devices are near it (the 16th powers of loads over the largest), so
# that relieving one of several full devices is progress. Smoother energies (squares, sums) ended worse.
_CROWDING = 0.1
_OVERFLOW = 4.0  # of the largest load, for memory exceeded by one whole device
_LOADED = 1e-9  # what rounding may leave


@njit(cache=True, nogil=True)
def energy_ms(loads: Loads, memory_bytes: Floats) -> tuple[float, float]:
    """What is minimised, and the largest load, ``inf`` if memory does not suffice."""
    largest = max(loads.load_ms.max(), 1e-30)
    crowd = over = 0.0
    for d in range(len(memory_bytes)):
        power = (loads.load_ms[d] / largest) ** 2
        power = (power * power) ** 2
        crowd += power * power
        if loads.used_bytes[d] > memory_bytes[d] * (1 + _LOADED):
            over += loads.used_bytes[d] / max(memory_bytes[d], 1.0) - 1
    value = largest * (1 + _CROWDING * crowd / len(memory_bytes) + _OVERFLOW * over)
    return value, np.inf if over > 0 else largest


@njit(cache=True, nogil=True)
def _put(clusters: Clusters, loads: Loads, one: int, there: int, undo: Int64, count: int) -> int:
    if loads.device[one] == there or clusters.op_ms[one, there] == np.inf:
        return count
    undo[count, 0], undo[count, 1] = one, loads.device[one]
    move(clusters, loads, one, there)
    return count + 1


@njit(cache=True, nogil=True)
def _beside(clusters: Clusters, device: Int32, one: int, random: State) -> int:
    """Device of a maker or reader of one of the cluster's tensors; its own if it has none."""
    first, last = clusters.tensor_start[one], clusters.tensor_start[one + 1]
    if first == last:
        return device[one]
    t = clusters.tensor[first + below(random, last - first)]
    if clusters.maker[t] != one:
        return device[clusters.maker[t]]
    first, last = clusters.reader_start[t], clusters.reader_start[t + 1]
    return device[clusters.reader[first + below(random, last - first)]]


@njit(cache=True, nogil=True)
def _propose(clusters: Clusters, loads: Loads, undo: Int64, random: State) -> int:
    """Change the loads by a random move; what it did stands in ``undo`` [count, 2]: cluster, device before."""
    total, num_devices = clusters.op_ms.shape
    device = loads.device
    one = below(random, total)
    here = device[one]
    kind = uniform(random)
    if kind < 0.35:
        return _put(clusters, loads, one, below(random, num_devices), undo, 0)
    if kind < 0.6:
        return _put(clusters, loads, one, _beside(clusters, device, one, random), undo, 0)
    if kind < 0.8:  # exchange
        other = below(random, total)
        there = device[other]
        count = _put(clusters, loads, one, there, undo, 0)
        return _put(clusters, loads, other, here, undo, count) if count else 0
    count = 0
    if kind < 0.85 and clusters.tensor_start[one] < clusters.tensor_start[one + 1]:
        # all that touch one tensor: otherwise an expensive tensor would have to be cut on the way
        first, last = clusters.tensor_start[one], clusters.tensor_start[one + 1]
        t = clusters.tensor[first + below(random, last - first)]
        there = below(random, num_devices)
        count = _put(clusters, loads, clusters.maker[t], there, undo, 0)
        for i in range(clusters.reader_start[t], min(clusters.reader_start[t + 1], clusters.reader_start[t] + 64)):
            count = _put(clusters, loads, clusters.reader[i], there, undo, count)
        return count
    # a run of clusters, which stand in topological order
    end = min(total, one + 1 + int(min(-4 * np.log(1 - uniform(random)), 60.0)))
    choice = uniform(random)
    if choice < 0.5:
        there = below(random, num_devices)
    else:
        there = device[max(one - 1, 0)] if choice < 0.75 else device[min(end, total - 1)]
    for other in range(one, end):
        if device[other] == here:
            count = _put(clusters, loads, other, there, undo, count)
    return count


@njit(cache=True, nogil=True)
def anneal_loads(
    clusters: Clusters,
    device: Int32,
    best: Int32,
    best_ms: float,
    random: State,
    moves: int,
    hot_ms: float,
    cold_ms: float,
) -> float:
    """Anneal ``device`` [C] by so many moves; where its largest load falls below ``best_ms``, copy it to ``best``.

    Returns the best largest load.
    """
    loads = loads_of(clusters, device)
    now_ms, value = energy_ms(loads, clusters.memory_bytes)
    if value < best_ms:
        best_ms = value
        best[:] = device
    undo = np.empty((80, 2), dtype=np.int64)
    temperature_ms = hot_ms
    cooling = (cold_ms / hot_ms) ** (1 / max(moves, 1))
    for _ in range(moves):
        temperature_ms *= cooling
        count = _propose(clusters, loads, undo, random)
        if count == 0:
            continue
        then_ms, value = energy_ms(loads, clusters.memory_bytes)
        if then_ms <= now_ms or uniform(random) < np.exp((now_ms - then_ms) / temperature_ms):
            now_ms = then_ms
            if value < best_ms * (1 - _LOADED):
                best_ms = value
                best[:] = device
        else:
            for i in range(count - 1, -1, -1):
                move(clusters, loads, undo[i, 0], undo[i, 1])
    return best_ms
