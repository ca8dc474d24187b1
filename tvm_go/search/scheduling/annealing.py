"""Simulated annealing from the best quick order.

On one device a kernel moves to another place, and what stands in its way because it is needed (or needs it) moves
along: whole branches change places. On several, kernels change priorities.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tvm_go.graph import Int32, Int64
from tvm_go.search.scheduling import critical_path, memory_greedy, topological
from tvm_go.search.scheduling.list_schedule import list_schedule, priority_of
from tvm_go.search.scheduling.problem import SchedulingProblem
from tvm_go.simulate.kernel_tensors import Bools
from tvm_go.simulate.peak_memory import live_profile, plan_blocks
from tvm_go.simulate.workload import Floats

_START_TEMPERATURE, _END_TEMPERATURE = 0.02, 0.0002  # of the value at the start
_WEIGHT_OF_MEAN = 0.05  # of what is alive on average: most moves leave the peak as it is, and some prepare a better
_STEPS_PER_CALL = 1 << 22  # kernels that are gone through between looks at the clock
_CANDIDATES = 8  # evaluated together


def search(problem: SchedulingProblem, rng: np.random.Generator) -> None:
    """Anneal until the budget is spent, or the order is proven best."""
    for quick in (topological, memory_greedy, critical_path):
        quick.search(problem, rng)
    if problem.tensors.num_kernels < 2 or problem.exhausted:
        return
    if problem.objective == "makespan":
        _anneal_priorities(problem, rng)
    else:
        _anneal_order(problem, rng)


def _progress(problem: SchedulingProblem) -> float:
    used = max(problem.evaluations / problem.budget.evaluations, problem.seconds / problem.budget.seconds)
    return min(used, 1.0)


def _temperature(progress: float) -> float:
    return float(_START_TEMPERATURE * (_END_TEMPERATURE / _START_TEMPERATURE) ** progress)


def _anneal_order(problem: SchedulingProblem, rng: np.random.Generator) -> None:
    tensors = problem.tensors
    storage = tensors.storage
    order = problem.best_order
    best, lowest, scale = order.copy(), problem.best_value, problem.best_value
    while not problem.exhausted:
        left = problem.budget.evaluations - problem.evaluations
        moves = min(left, max(1, _STEPS_PER_CALL // tensors.num_kernels))
        lowest = _anneal(
            order,
            best,
            lowest,
            moves,
            _temperature(_progress(problem)),
            scale,
            problem.objective == "planned",
            rng,
            tensors.output_start,
            tensors.use_start,
            tensors.tensor_kernel[tensors.use_tensor],
            *tensors.readers,
            storage.own_bytes,
            storage.owner,
            storage.read_start,
            storage.read,
            storage.num_readers,
        )
        problem.report(priority_of(best), moves)


@njit(cache=True, nogil=True)
def _anneal(
    order: Int32,
    best: Int32,
    lowest: float,
    moves: int,
    temperature: float,
    scale: float,
    planned: bool,
    rng: np.random.Generator,
    output_start: Int64,
    use_start: Int64,
    producer: Int32,
    reader_start: Int64,
    reader: Int32,
    own_bytes: Int64,
    owner: Int32,
    read_start: Int64,
    read: Int32,
    num_readers: Int32,
) -> float:
    """Metropolis moves at one temperature; ``order`` and ``best`` are changed in place. The value of ``best``."""
    count = len(order)
    marked = np.zeros(count, dtype=np.bool_)
    aside = np.empty(count, dtype=np.int32)
    saved = order.copy()
    energy, at = np.inf, 0
    for move in range(moves):
        first, last = 0, -1
        if move > 0:
            # One kernel in two is taken from where memory is short.
            near = rng.random() < 0.5
            place = at - 16 + int(33 * rng.random()) if near else int(count * rng.random())
            place = min(max(place, 0), count - 1)
            distance = int(count ** rng.random())
            if rng.random() < 0.5:
                first, last = max(place - distance, 0), place
            else:
                first, last = place, min(place + distance, count - 1)
            saved[first : last + 1] = order[first : last + 1]
            if place == last:
                _pull(order, first, last, use_start, producer, marked, aside)
            else:
                _push(order, first, last, reader_start, reader, marked, aside)
        profile = live_profile(order, output_start, own_bytes, read_start, read, num_readers)
        peak = int(np.argmax(profile))
        value = float(profile[peak])
        if planned:
            value = float(plan_blocks(order, output_start, own_bytes, owner, read_start, read, num_readers)[1].sum())
        changed = (value + _WEIGHT_OF_MEAN * profile.mean()) / scale
        if changed - energy <= temperature * rng.standard_exponential():
            energy, at = changed, peak
            if value < lowest:
                lowest = value
                best[:] = order
        else:
            order[first : last + 1] = saved[first : last + 1]
    return lowest


@njit(cache=True, nogil=True)
def _pull(
    order: Int32,
    first: int,
    last: int,
    use_start: Int64,
    producer: Int32,
    marked: Bools,
    aside: Int32,
) -> None:
    """Bring the kernel at ``last`` to ``first``, behind those in between that it needs."""
    marked[order[last]] = True
    num_aside, free = 0, last
    for place in range(last, first - 1, -1):
        kernel = order[place]
        if marked[kernel]:
            marked[kernel] = False
            aside[num_aside] = kernel
            num_aside += 1
            for i in range(use_start[kernel], use_start[kernel + 1]):
                marked[producer[i]] = True
        else:
            order[free] = kernel
            free -= 1
    for i in range(num_aside):
        order[first + i] = aside[num_aside - 1 - i]
        for j in range(use_start[aside[i]], use_start[aside[i] + 1]):
            marked[producer[j]] = False


@njit(cache=True, nogil=True)
def _push(
    order: Int32,
    first: int,
    last: int,
    reader_start: Int64,
    reader: Int32,
    marked: Bools,
    aside: Int32,
) -> None:
    """Bring the kernel at ``first`` to ``last``, before those in between that need it."""
    marked[order[first]] = True
    num_aside, free = 0, first
    for place in range(first, last + 1):
        kernel = order[place]
        if marked[kernel]:
            marked[kernel] = False
            aside[num_aside] = kernel
            num_aside += 1
            for i in range(reader_start[kernel], reader_start[kernel + 1]):
                marked[reader[i]] = True
        else:
            order[free] = kernel
            free += 1
    for i in range(num_aside):
        order[free + i] = aside[i]
        for j in range(reader_start[aside[i]], reader_start[aside[i] + 1]):
            marked[reader[j]] = False


def _anneal_priorities(problem: SchedulingProblem, rng: np.random.Generator) -> None:
    """Some kernels take the priorities of others; the best of a few candidates may take the place of what there is."""
    current_value = problem.best_value
    current: Floats = priority_of(list_schedule(problem.tensors, problem.best_priority))
    count = len(current)
    while not problem.exhausted:
        temperature = _temperature(_progress(problem))
        left = problem.budget.evaluations - problem.evaluations
        candidates = np.repeat(current[None], min(_CANDIDATES, left), axis=0)
        for candidate in candidates:
            chosen = rng.integers(count, size=1 + int(rng.integers(4)))
            reach = int(count ** rng.random())
            candidate[chosen] += rng.integers(-reach, reach + 1, size=len(chosen)) + rng.random(len(chosen)) - 0.5
        values = problem.evaluate(candidates)
        one = int(np.argmin(values))
        if values[one] <= current_value + temperature * problem.best_value * rng.standard_exponential():
            current, current_value = candidates[one], float(values[one])
