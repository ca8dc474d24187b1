"""The strategy for whoever does not want to choose: quick baselines first, then the best searches side by side.

Two lanes run at once, each a few strategies in turn. Every step begins from the best placement that any of them has
found, and one of them proves how good it is. Compiled loops and HiGHS leave Python's lock alone, so threads will do.

Under an evaluation budget the steps take turns instead, so that the same seed gives the same placement.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from tvm_go.search.placement import (
    annealing,
    critical_path,
    dp,
    expert,
    local_search,
    m_etf,
    metis,
    milp,
    min_cut,
    round_robin,
    single,
)
from tvm_go.search.placement._steps import Shared
from tvm_go.search.placement.bounds import lower_bound
from tvm_go.search.placement.problem import PlacementBudget, PlacementProblem
from tvm_go.simulate.families import SMALLEST, generate
from tvm_go.simulate.machines import P100, PCIE3, XEON, box
from tvm_go.simulate.split_scores import HOST

#: An evaluation budget that never ends.
UNLIMITED = sys.maxsize

QUICK = {
    "single": single.search,
    "round_robin": round_robin.search,
    "expert": expert.search,
    "critical_path": critical_path.search,
    "m_etf": m_etf.search,
    "metis": metis.search,
}
_SEARCHES = {
    "annealing": annealing.search,
    "dp": dp.search,
    "local_search": local_search.search,
    "milp": milp.search,
    "min_cut": min_cut.search,
}
_NEEDS = {"metis": "pymetis", "milp": "highspy"}  # modules that may be absent

Lane = tuple[tuple[str, float], ...]

# What each lane does, and until which share of the time that the baselines have left. A first look by HiGHS ends the
# small problems at once.
_LANES: dict[str, tuple[Lane, ...]] = {
    "throughput": (
        (("milp", 0.05), ("dp", 0.2), ("annealing", 0.45), ("milp", 1.0)),
        (("local_search", 0.1), ("annealing", 0.4), ("annealing", 0.7), ("annealing", 1.0)),
    ),
    "latency": (
        (("milp", 0.05), ("local_search", 0.2), ("annealing", 0.5), ("milp", 1.0)),
        (("annealing", 0.35), ("annealing", 0.7), ("annealing", 1.0)),
    ),
    "concurrent": (
        (("annealing", 0.4), ("local_search", 0.6), ("annealing", 1.0)),
        (("annealing", 0.5), ("annealing", 1.0)),
    ),
    "sequential": ((("min_cut", 0.3), ("annealing", 0.5), ("local_search", 0.7), ("annealing", 1.0)),),
}
# Under the other objectives a batch of placements is evaluated on all cores anyway.
_ONE_LANE: tuple[Lane, ...] = ((("annealing", 0.4), ("local_search", 0.6), ("annealing", 1.0)),)

_FEW_EVALUATIONS = 300
_GAP_OF_PROVEN = 2e-6  # of the value
_LOOK_EVERY_S = 0.1
_MOST_DECISIONS = 50_000  # binaries of a program that HiGHS can still do something with in a minute


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Run the baselines, then the lanes, until the budget is spent or the best is proven to be that."""
    shared = Shared(problem)
    problem.raise_bound(lower_bound(problem.workload, problem.machine, problem.objective))
    for name in available(QUICK):
        if not problem.exhausted:
            QUICK[name](shared.step(seconds=float("inf"), evaluations=_evaluations_left(problem)), rng)
    lanes = _LANES.get(problem.objective, _ONE_LANE)
    if problem.budget.evaluations < UNLIMITED:
        _take_turns(shared, lanes, rng)
    else:
        _side_by_side(shared, lanes, rng)


def compile_searches(objective: str) -> None:
    """Run every step on a small graph: compiling, once on each machine, should take no search's time."""
    specs = [replace(XEON, kind=HOST), P100, P100]
    workload = generate("rnnlm", SMALLEST, np.random.default_rng(0)).workload(specs[:2])
    problem = PlacementProblem(workload, box("warm-up", specs, PCIE3), objective, PlacementBudget(_FEW_EVALUATIONS))
    search(problem, np.random.default_rng(0))


def available(names: Iterable[str]) -> list[str]:
    """The strategies among some whose modules are installed."""
    return [name for name in names if name not in _NEEDS or find_spec(_NEEDS[name]) is not None]


def _take_turns(shared: Shared, lanes: tuple[Lane, ...], rng: np.random.Generator) -> None:
    """Give each step of each lane the same part of the evaluations; a solver that goes by the clock is left out."""
    longest = max(map(len, lanes))
    names = [lane[i][0] for i in range(longest) for lane in lanes if i < len(lane) and lane[i][0] != "milp"]
    for number, name in enumerate(names):
        left = _evaluations_left(shared.problem)
        if _is_over(shared):
            break
        _SEARCHES[name](shared.step(seconds=float("inf"), evaluations=left // (len(names) - number)), rng)


def _side_by_side(shared: Shared, lanes: tuple[Lane, ...], rng: np.random.Generator) -> None:
    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            generators = rng.spawn(len(lanes))
            running = {pool.submit(_run_lane, shared, *one) for one in zip(lanes, generators, strict=True)}
            while running and not _is_over(shared):
                done, running = wait(running, timeout=_LOOK_EVERY_S)
                for one in done:
                    one.result()  # an error of a lane ends the others
        finally:
            shared.stop.set()


def _run_lane(shared: Shared, lane: Lane, rng: np.random.Generator) -> None:
    problem = shared.problem
    first, whole_s = problem.seconds, problem.seconds_left
    for name, until in lane:
        seconds = first + until * whole_s - problem.seconds
        serves = name != "milp" or (available([name]) and _decisions(problem) <= _MOST_DECISIONS)
        if seconds > 0 and not _is_over(shared):
            _SEARCHES[name if serves else "annealing"](shared.step(seconds=seconds, evaluations=UNLIMITED), rng)


def _is_over(shared: Shared) -> bool:
    problem = shared.problem
    proven = problem.best_value - problem.lower_bound <= _GAP_OF_PROVEN * problem.best_value
    return shared.stop.is_set() or problem.exhausted or proven


def _decisions(problem: PlacementProblem) -> int:
    return problem.workload.num_classes * problem.machine.num_devices


def _evaluations_left(problem: PlacementProblem) -> int:
    return max(problem.budget.evaluations - problem.evaluations, 0)
