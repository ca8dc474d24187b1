"""Exact placements by HiGHS, and a proven bound, for throughput (contiguous or not) and latency beside a host.

The best placement known is where it starts from; what it finds and what it proves is told on the way, so that a search
that is cut short was not in vain.
"""

from __future__ import annotations

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.search.placement import _linear
from tvm_go.search.placement._milp_model import latency_model, throughput_model
from tvm_go.search.placement.bounds import lower_bound
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.workload import Floats

OBJECTIVES = ("throughput", "latency")
_TOLERANCE = 1e-6  # of a value: what HiGHS calls feasible may be off by this


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Solve the program until it is proven or the budget is spent, and raise the problem's lower bound.

    Raises
    ------
    UsageError
        If HiGHS is not installed, or the objective is neither throughput nor latency.
    """
    _run(problem, rng, contiguous=False)


def search_contiguous(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """As :func:`search`, but no path leaves an accelerator and comes back; for throughput it proves no bound then.

    Raises
    ------
    UsageError
        If HiGHS is not installed, or the objective is neither throughput nor latency.
    """
    _run(problem, rng, contiguous=True)


def _run(problem: PlacementProblem, rng: np.random.Generator, *, contiguous: bool) -> None:
    if problem.objective not in OBJECTIVES:
        raise UsageError(
            f"strategy 'milp' knows the objectives {' and '.join(OBJECTIVES)}, not {problem.objective}; "
            "choose another strategy, for instance portfolio"
        )
    _linear.load()
    workload, machine = problem.workload, problem.machine
    problem.raise_bound(lower_bound(workload, machine, problem.objective))
    if problem.best_value == np.inf:
        problem.evaluate(np.zeros((1, workload.num_ops), dtype=np.int32))
    if problem.objective == "latency":
        model = latency_model(workload, machine, _horizon_ms(problem))
        proves = True
    else:
        model = throughput_model(workload, machine, contiguous=contiguous)
        proves = not contiguous
    known = problem.best_value < np.inf

    def take(values: Floats, value: float) -> None:
        if value < problem.best_value:
            problem.report(model.class_device(values)[workload.colocation], 1)

    def raise_bound(bound: float) -> bool:
        if proves and bound > 0:
            problem.raise_bound(min(bound * (1 - _TOLERANCE), problem.best_value))
        return problem.exhausted

    outcome = _linear.solve(
        model.program,
        model.objective,
        seconds=problem.seconds_left,
        seed=int(rng.integers(2**31)),
        start=model.start(_class_device(problem)) if known else None,
        on_solution=take,
        on_bound=raise_bound,
    )
    if outcome.infeasible:  # nothing is better than what sets the horizon, or nothing is feasible at all
        raise_bound(np.inf)
        return
    if len(outcome.values):
        take(outcome.values, float(outcome.values[model.objective]))
    raise_bound(outcome.bound)


def _class_device(problem: PlacementProblem) -> np.ndarray:
    return problem.best[problem.workload.class_first]


def _horizon_ms(problem: PlacementProblem) -> float:
    """Nothing slower than this is of interest: the best value known, or all that any device may ever do."""
    if problem.best_value < np.inf:
        return problem.best_value * (1 + _TOLERANCE)
    workload, machine = problem.workload, problem.machine
    op_ms = machine.op_ms(workload)
    slowest = np.where(np.isfinite(op_ms), op_ms, 0.0).max(axis=1).sum()
    moved = workload.output_bytes.sum() / machine.bytes_per_ms.min() + workload.num_ops * machine.latency_ms.max()
    return float(slowest + 2 * machine.num_devices * moved)
