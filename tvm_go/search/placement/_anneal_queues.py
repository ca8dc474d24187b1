"""Annealing under ``concurrent``, compiled: a run of colocation classes goes to another device, move after move."""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32
from tvm_go.search.placement._xorshift import State, below, uniform
from tvm_go.simulate.costs import Costs
from tvm_go.simulate.executors.concurrent import concurrent_ms
from tvm_go.simulate.workload import Floats

_SHORT = 2.0  # classes in most runs, on average;
_LONG = 1 / 16  # of all classes in the others


@njit(cache=True, nogil=True)
def anneal_queues(
    costs: Costs,
    priority: Floats,
    home: Int32,
    now_ms: float,
    best: Int32,
    best_ms: float,
    random: State,
    moves: int,
    temperature_ms: float,
) -> tuple[float, float]:
    """Anneal ``home`` [C], the device of each class, by so many moves at one temperature.

    Where it takes less than ``best_ms`` it is copied to ``best`` [C]. What is not feasible takes ``inf``.

    Returns
    -------
    now_ms, best_ms : float
        What ``home`` takes in the end, and ``best``.
    """
    count, num_ops, num_devices = len(home), len(costs.colocation), len(costs.memory_bytes)
    device = np.empty(num_ops, dtype=np.int32)
    before = home.copy()
    for _ in range(moves):
        begin = below(random, count)
        mean = _SHORT if uniform(random) < 0.8 else count * _LONG
        end = min(begin + 1 + int(-np.log(1 - uniform(random)) * mean), count)
        if uniform(random) < 0.5:
            home[begin:end] = below(random, num_devices)
        else:
            home[begin:end] = home[begin - 1 if uniform(random) < 0.5 and begin > 0 else min(end, count - 1)]
        for op in range(num_ops):
            device[op] = home[costs.colocation[op]]
        then_ms = concurrent_ms(costs, device, priority)
        if then_ms <= now_ms or uniform(random) < np.exp((now_ms - then_ms) / temperature_ms):
            now_ms = then_ms
            before[begin:end] = home[begin:end]
            if then_ms < best_ms:
                best_ms = then_ms
                best[:] = home
        else:
            home[begin:end] = before[begin:end]
    return now_ms, best_ms
