"""Lessons in fusing: a model's graph, what its plans take by an oracle, and the best decisions that are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from tvm_go.graph import Int32, Int64
from tvm_go.policy import Actions, GraphInput, Policy
from tvm_go.policy.edge_choices import EdgeChoices
from tvm_go.policy.kernel_graph import kernel_graph
from tvm_go.search import Problem
from tvm_go.search.gains import gainful
from tvm_go.search.sites import neighbours
from tvm_go.simulate.workload import Floats

#: Milliseconds of some plans, float64 [B], by what is done at each unit of edges, 0 or 1 in int64 [B, U].
Evaluate = Callable[[Int64], Floats]

_PASSES = 4
_PAIRS = 32  # of neighbouring units that are changed together, in each of as many rounds
_SAMPLES = 256  # by which it is seen how likely each decision is
_SURE = (0.5, 0.25, 0.75, 0.95)  # that FuseOps' way should be left, before it is
_LEAST_WEIGHT = 1e-3  # of a unit at which either decision is as good


@dataclass(frozen=True, eq=False)
class Example:
    """What is to be imitated on one graph.

    Attributes
    ----------
    graph : GraphInput
        With its choices.
    target : int64 [U]
        The best known decision at each unit.
    regret : float64 [U]
        Share of the default's time that is lost by the other decision, at one unit alone.
    """

    graph: GraphInput
    target: Int64
    regret: Floats


@dataclass(frozen=True, eq=False)
class FusionLesson(Example):
    """What training knows of one graph.

    Attributes
    ----------
    reference_ms, target_ms : float
        Time of TVM's default plan, and of the best known.
    """

    name: str
    reference_ms: float
    target_ms: float
    evaluate: Evaluate

    def plans_ms(self, actions: Actions) -> Floats:
        """Milliseconds of each plan, float64 [B]; ``inf`` for one with a kernel that fails."""
        return self.evaluate(actions.drawn["fusion"][:, -1].numpy())

    def decided(self, actions: Actions, row: int) -> Int64:
        """What is done at each unit in one of some plans."""
        return actions.drawn["fusion"][row, -1].numpy()


def choices_of(graph: GraphInput) -> EdgeChoices:
    """The choices of a graph that comes with some."""
    assert graph.choices is not None
    return graph.choices


def legal_plans(problem: Problem, choices: EdgeChoices, merges: Int64) -> list[Int32]:
    """The legal plans that come nearest to some decisions, int64 [B, U]."""
    return [choices.partition(problem.graph, row, problem.rules) for row in merges]


def costs_ms(problem: Problem, plans: Sequence[Int32]) -> Floats:
    """Milliseconds of plans by the oracle of a problem, float64 [B]; NaN where its budget is spent."""
    return np.array([np.nan if ms is None else ms for ms in problem.cost(plans)], dtype=np.float64)


def evaluator(problem: Problem, choices: EdgeChoices) -> Evaluate:
    """What decisions take as legal plans, by the oracle of a problem; NaN where its budget is spent."""
    return lambda merges: costs_ms(problem, legal_plans(problem, choices, merges))


def with_gains(problem: Problem, graph: GraphInput) -> GraphInput:
    """Tell what the oracle expects of each other decision; to be used where it predicts."""
    choices = choices_of(graph)
    each = choices.merges_by_default.astype(np.int64) ^ np.eye(choices.num_units, dtype=np.int64)
    expected = np.array(problem.expected_all(legal_plans(problem, choices, each)))
    return replace(graph, choices=choices.with_gains(1 - expected / problem.expected(problem.default)))


def prepare_fusion_lesson(
    problem: Problem, name: str, rng: np.random.Generator, known: Sequence[Int32] = ()
) -> FusionLesson:
    """Start from the best of FuseOps' partition and those that are known, and change it unit by unit while that gains.

    Parameters
    ----------
    problem : Problem
        Without a limit; its oracle should predict, for it is asked for hundreds of plans.
    known : sequence of int32 [N]
        Partitions that searches found.
    """
    graph = with_gains(problem, kernel_graph(problem.graph, problem.default, problem.rules, name))
    choices = choices_of(graph)
    evaluate = evaluator(problem, choices)
    starts = np.stack([choices.merges(problem.graph, kernel) for kernel in (problem.default, *known)])
    values = evaluate(starts)
    reference_ms = float(values[0])
    target, target_ms, lost_ms = improved(
        starts[int(np.argmin(values))], evaluate, neighbours(choices.source, choices.reader, choices.unit), rng
    )
    return FusionLesson(graph, target, lost_ms / reference_ms, name, reference_ms, target_ms, evaluate)


def improved(
    start: Int64, evaluate: Evaluate, neighbours: Int64, rng: np.random.Generator
) -> tuple[Int64, float, Floats]:
    """Change decisions one by one, and at pairs of neighbours, as long as that gains.

    Parameters
    ----------
    start : int64 [U]
    neighbours : int64 [P, 2]
        Pairs of units that share an op.

    Returns
    -------
    merges : int64 [U]
    milliseconds : float
    lost_ms : float64 [U]
        What each change of one decision more would lose, 0 if nothing.
    """
    here, here_ms = start, float(evaluate(start[None])[0])
    each = np.eye(len(start), dtype=np.int64)
    for _ in range(_PASSES):
        before_ms = here_ms
        values = evaluate(here ^ each)
        here, here_ms = _gainful(here, here_ms, each, values, evaluate)
        for _ in range(_PASSES if len(neighbours) else 0):
            pairs = neighbours[rng.integers(len(neighbours), size=_PAIRS)]
            both = each[pairs[:, 0]] | each[pairs[:, 1]]
            here, here_ms = _gainful(here, here_ms, both, evaluate(here ^ both), evaluate)
        if here_ms >= before_ms:
            break
    else:
        values = evaluate(here ^ each)
    return here, here_ms, np.maximum(np.where(np.isfinite(values), values, 2 * here_ms) - here_ms, 0.0)


def _gainful(here: Int64, here_ms: float, changes: Int64, values: Floats, evaluate: Evaluate) -> tuple[Int64, float]:
    """Make those changes of decisions, int64 [B, U], that gain."""
    return gainful(
        here, here_ms, values, lambda old, one: old ^ changes[one], lambda old: float(evaluate(old[None])[0])
    )


def likely_plans(policy: Policy, graph: GraphInput, generator: torch.Generator) -> Int64:
    """What the policy does if it leaves FuseOps' way where it is sure enough, for some degrees of sureness.

    Returns
    -------
    int64 [B, U]
        The likeliest plan of all first; no two are equal.
    """
    drawn = policy.act(graph, _SAMPLES, generator).drawn["fusion"][:, -1].numpy()
    default = choices_of(graph).merges_by_default.astype(np.int64)
    share = (drawn != default).mean(axis=0)
    plans = [default ^ (share > least).astype(np.int64) for least in _SURE]
    return np.array([plan for i, plan in enumerate(plans) if not any(np.array_equal(plan, one) for one in plans[:i])])


def imitation_loss(policy: Policy, lessons: Sequence[Example], generator: torch.Generator) -> torch.Tensor:
    """Cross-entropy of the best known decisions, those of one class of ops weighed by what others would cost: a scalar.

    Most decisions hardly matter; which of them a search took is noise.
    """
    plans = [{"fusion": torch.from_numpy(lesson.target)} for lesson in lessons]
    scores = policy.score_plans([lesson.graph for lesson in lessons], plans, generator)
    total = torch.zeros(())
    for lesson, score in zip(lessons, scores, strict=True):
        choices = choices_of(lesson.graph)
        weight = np.bincount(choices.colocation, lesson.regret + _LEAST_WEIGHT, minlength=lesson.graph.num_classes)
        shares = torch.from_numpy(weight / weight.sum()).float()
        total = total - (score.log_prob_per_class * shares).sum() / (len(lessons) * policy.config.rounds)
    return total
