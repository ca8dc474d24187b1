"""A model as a search problem, for whose kernels an oracle answers."""

from __future__ import annotations

from collections.abc import Callable

from cost_model.oracle import KernelOracle
from tvm_go.model import Model
from tvm_go.rules import Rules
from tvm_go.search import Budget, Problem


def problem_of(
    model: Model,
    oracle: KernelOracle,
    rules: Rules,
    budget: Budget,
    *,
    on_progress: Callable[[Problem], None] = lambda problem: None,
    known: dict[str, float] | None = None,
) -> Problem:
    """The search problem of a model in its forms.

    Parameters
    ----------
    known : dict of str to float, optional
        Milliseconds by kernel key, which several problems may share.
    """
    flow, graph = model.flow, model.graph
    return Problem(
        graph,
        model.default,
        rules,
        lambda requests: oracle.ask(flow, graph, requests),
        budget,
        on_progress,
        {} if known is None else known,
        confirm=lambda requests: oracle.confirm(flow, graph, requests),
        guessed=oracle.guessed_ms,
        predicts=lambda: oracle.predictor is not None,
    )
