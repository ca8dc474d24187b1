"""Simulated annealing of clusters of ops, first coarse, then fine, in rounds that grow longer (throughput, latency).

A cluster is one colocation class, or several that an expensive tensor joins. In each round the price from which on a
tensor joins is drawn anew, so that some rounds see a small problem and some see every class.
Under the executors' objectives it is classes that move, from the best placement on.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from tvm_go.graph import Int32
from tvm_go.search.placement._anneal_loads import anneal_loads
from tvm_go.search.placement._anneal_queues import anneal_queues
from tvm_go.search.placement._anneal_steps import anneal_steps, groups_of
from tvm_go.search.placement._clusters import clusters_of, joined, sums_by
from tvm_go.search.placement._order import renumbered
from tvm_go.search.placement._runs import report_runs
from tvm_go.search.placement._starts import allowed, batch_rows, evaluate_starts, starts
from tvm_go.search.placement._xorshift import State, seeded
from tvm_go.search.placement.problem import PlacementProblem
from tvm_go.simulate.costs import costs_of
from tvm_go.simulate.objectives import default_priority
from tvm_go.simulate.split_scores import SplitCosts

# Compiled loops return to the clock after so many moves. For latency each looks at the whole graph.
_SLICE_MOVES = {"throughput": 200_000, "latency": 20_000}
_SLICE_ELEMENTS = 10_000_000  # ops and edges
_FIRST_ROUND = {"throughput": 1000, "latency": 100}  # moves for each class
_GROWTH = 1.5
_HOT, _WARM, _LUKEWARM, _COLD = 0.05, 0.01, 0.002, 2e-5  # temperatures, of the best value known
_COARSEST = 0.005  # of the best value: the lowest price from which on a tensor joins
_BATCH = 64
_QUEUE_SLICE = 100_000  # ops that the compiled loop under ``concurrent`` simulates at one temperature

# Anneals the device of each cluster in place: (device, best, best_ms, random, moves, hot_ms, cold_ms) -> best_ms.
Anneal = Callable[[Int32, Int32, float, State, int, float, float], float]


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Anneal until the budget is spent: compiled but for ``sequential`` and ``pipeline``, there by batches of moves."""
    first = starts(problem.workload, problem.machine)
    feasible = np.isfinite(evaluate_starts(problem, first))
    if feasible.any():  # from elsewhere, latency would be infinite all around
        first = first[feasible]
    if problem.best_value == 0:
        return
    if problem.objective in _SLICE_MOVES:
        report_runs(problem)
        _Rounds(problem, first, rng).run()
    elif problem.objective == "concurrent":
        _by_queues(problem, first, rng)
    else:
        _by_batches(problem, first, rng)


class _Rounds:
    """Rounds of compiled annealing."""

    def __init__(self, problem: PlacementProblem, first: Int32, rng: np.random.Generator) -> None:
        self.problem = problem
        self.first = first
        self.rng = rng
        self.random = seeded(rng)
        self.costs = SplitCosts.of(problem.workload, problem.machine)
        self.slice_moves = _SLICE_MOVES[problem.objective]
        if problem.objective == "latency":
            size = problem.workload.num_ops + problem.workload.num_edges
            self.slice_moves = int(np.clip(_SLICE_ELEMENTS // size, 1, self.slice_moves))
        self.moves_per_second = 3.0 * self.slice_moves  # until it is measured

    def run(self) -> None:
        """Start rounds hot from a start or warm from the best, and spend a third of the moves on coarse clusters."""
        problem, rng = self.problem, self.rng
        moves = float(_FIRST_ROUND[problem.objective] * problem.workload.num_classes)
        while not problem.exhausted and problem.best_value > 0:
            planned = int(min(moves, max(problem.seconds_left * self.moves_per_second, 100)))
            planned = min(planned, problem.budget.evaluations - problem.evaluations)
            fresh = not len(problem.best) or rng.random() < 0.6
            device = self.first[rng.integers(len(self.first))] if fresh else problem.best
            coarse = self._coarse()
            if coarse is not None:
                device = self._anneal(coarse, device, planned // 3, _HOT if fresh else _WARM)
            heat = _HOT if fresh and coarse is None else _WARM
            self._anneal(self._fine(), device, planned - (0 if coarse is None else planned // 3), heat)
            moves *= _GROWTH

    def _scale_ms(self) -> float:
        """A value to measure temperatures and prices by."""
        if np.isfinite(self.problem.best_value):
            return self.problem.best_value
        op_ms = self.costs.op_ms
        return max(float(np.where(np.isfinite(op_ms), op_ms, 0.0).max(axis=1).sum()), 1e-9)

    def _fine(self) -> Int32:
        """Clusters that lose nothing that is better than the best."""
        # What a single tensor's way costs bounds throughput but not latency, where a transfer may be off the path.
        limit_ms = self.problem.best_value if self.problem.objective == "throughput" else np.inf
        return joined(self.problem.workload, self.costs, limit_ms)

    def _coarse(self) -> Int32 | None:
        """Clusters by a random price; None in one of three rounds, and where one cluster would be too much work."""
        if self.rng.random() < 1 / 3:
            return None
        price_ms = self._scale_ms() * _COARSEST ** self.rng.random()
        cluster = joined(self.problem.workload, self.costs, price_ms)
        most_ms = np.bincount(cluster, self.costs.op_ms.min(axis=1)).max(initial=0.0)
        return cluster if most_ms < self._scale_ms() else None

    def _anneal(self, cluster: Int32, device: Int32, moves: int, heat: float) -> Int32:
        """Anneal ops of a cluster together, in slices; the best placement seen, int32 [N]."""
        problem = self.problem
        if self.rng.random() < 0.5:  # moves take runs of numbers, and no order is the better one everywhere
            cluster = renumbered(self.problem.workload, cluster)
        anneal = self._compiled(cluster)
        cluster_ms = sums_by(cluster, self.costs.op_ms, int(cluster.max()) + 1)
        here = allowed(cluster_ms, device[np.unique(cluster, return_index=True)[1]])
        best, best_ms = here.copy(), float("inf")
        hot_ms, cold_ms = self._scale_ms() * heat, self._scale_ms() * _COLD
        done = 0
        while done < moves and not problem.exhausted:
            slice_moves = min(self.slice_moves, moves - done)
            temperatures = hot_ms * (cold_ms / hot_ms) ** (np.array([done, done + slice_moves]) / moves)
            start = time.monotonic()
            best_ms = anneal(here, best, best_ms, self.random, slice_moves, temperatures[0], temperatures[1])
            self.moves_per_second = slice_moves / max(time.monotonic() - start, 1e-9)
            done += slice_moves
            if best_ms < problem.best_value:
                problem.report(best[cluster], slice_moves)
            else:
                problem.evaluations += slice_moves
        return best[cluster]

    def _compiled(self, cluster: Int32) -> Anneal:
        workload, costs = self.problem.workload, self.costs
        if self.problem.objective == "throughput":
            clusters = clusters_of(workload, costs, cluster)
            return lambda *rest: float(anneal_loads(clusters, *rest))
        groups = groups_of(workload, costs, cluster)
        return lambda *rest: float(anneal_steps(groups, *rest))


def _by_queues(problem: PlacementProblem, first: Int32, rng: np.random.Generator) -> None:
    """Anneal under ``concurrent``, with the priorities of the best placement."""
    workload, costs, random = problem.workload, costs_of(problem.workload, problem.machine), seeded(rng)
    priority = problem.best_priority if len(problem.best_priority) else default_priority(costs, "concurrent")
    home, now_ms = _begin(problem, first), problem.best_value
    best, begin = home.copy(), problem.evaluations
    slice_moves = max(_QUEUE_SLICE // max(workload.num_ops, 1), 1)
    while not problem.exhausted:
        moves = min(slice_moves, problem.budget.evaluations - problem.evaluations)
        scale_ms = problem.best_value if np.isfinite(problem.best_value) else 1.0
        temperature_ms = scale_ms * _LUKEWARM * (_COLD / _LUKEWARM) ** _progress(problem, begin)
        now_ms, best_ms = anneal_queues(
            costs, priority, home, now_ms, best, problem.best_value, random, moves, temperature_ms
        )
        if best_ms < problem.best_value:
            problem.report(best[workload.colocation], moves, priority)
        else:
            problem.evaluations += moves


def _begin(problem: PlacementProblem, first: Int32) -> Int32:
    """Device of each class in the best placement, or in the first start where none is feasible: int32 [C]."""
    return (problem.best if len(problem.best) else first[0])[problem.workload.class_first]


def _progress(problem: PlacementProblem, begin: int) -> float:
    """How much of the budget was spent since so many evaluations, 0 to 1."""
    spent = (problem.evaluations - begin) / max(problem.budget.evaluations - begin, 1)
    return min(max(spent, problem.seconds / problem.budget.seconds), 1.0)


def _by_batches(problem: PlacementProblem, first: Int32, rng: np.random.Generator) -> None:
    """Anneal under any objective: of each batch of moves, evaluated at once, the best is accepted or refused."""
    workload = problem.workload
    device, now_ms = _begin(problem, first), problem.best_value
    rows = batch_rows(workload, _BATCH)
    begin = problem.evaluations
    while not problem.exhausted:
        progress = _progress(problem, begin)
        moved = np.stack([_moved(device, problem.machine.num_devices, rng) for _ in range(rows)])
        moved = moved[: problem.budget.evaluations - problem.evaluations]
        values = problem.evaluate(np.ascontiguousarray(moved[:, workload.colocation]), problem.shared_priorities)
        then_ms = float(values.min())
        temperature_ms = now_ms * _HOT * (_COLD / _HOT) ** progress if np.isfinite(now_ms) else np.inf
        if then_ms <= now_ms or then_ms - now_ms < temperature_ms * rng.exponential():
            device, now_ms = moved[int(np.argmin(values))], then_ms


def _moved(device: Int32, num_devices: int, rng: np.random.Generator) -> Int32:
    """Put a run of classes on another device; most runs are short."""
    begin = int(rng.integers(len(device)))
    end = begin + 1 + int(rng.exponential(2.0 if rng.random() < 0.8 else len(device) / 8))
    moved = device.copy()
    moved[begin:end] = rng.integers(num_devices) if rng.random() < 0.5 else device[rng.integers(len(device))]
    return moved
