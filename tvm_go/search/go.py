"""The learned strategy: one forward pass for a whole plan, the best of a few bolder and shyer ones, then fine-tuning.

Zhou et al., "Transferable Graph Optimizers for ML Compilers" (NeurIPS 2020): a policy that was trained on many models
fuses one that it never saw, and learns from this one as far as the budget goes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.search.foreseen import follow, foreseen
from tvm_go.search.problem import Problem
from tvm_go.search.shipped_policy import FOLDER, load_shipped

if TYPE_CHECKING:  # both bring torch and DGL, which only this strategy needs
    from tvm_go.policy import Checkpoint, GraphInput, Policy

#: The policy that comes with the package.
SHIPPED = FOLDER / "kernels.pt"

_LOGGER = logging.getLogger("tvm_go.search")


def search(problem: Problem, rng: np.random.Generator) -> None:
    """Fuse by the policy that comes with the package, then fine-tune until the budget is spent or nothing is new.

    Raises
    ------
    UsageError
        If torch or DGL is not installed, or the package came without a policy.
    """
    _search_by(load_shipped(SHIPPED, "fusion", "benchmarks.train_kernels"), problem, rng)


def search_of(policy: str | Path | Checkpoint) -> Callable[[Problem, np.random.Generator], None]:
    """As :func:`search`, by a policy of one's own: a checkpoint, or its file.

    Raises
    ------
    UsageError
        If torch or DGL is not installed, the file cannot be used, or the policy does not fuse.
    """
    from tvm_go.policy import load_policy

    checkpoint = load_policy(Path(policy), ("fusion",)) if isinstance(policy, str | Path) else policy
    config = checkpoint.policy.config
    if config.plans or "fusion" not in config.tasks:
        what = "whole plans" if config.plans else ", ".join(config.tasks)
        raise UsageError(f"the policy decides {what}, not which ops are fused; train one with the task fusion")
    return partial(_search_by, checkpoint)


def search_with(
    policy: Policy, problem: Problem, rng: np.random.Generator, *, known_types: Collection[str] | None = None
) -> None:
    """As :func:`search`, by a policy of one's own.

    Parameters
    ----------
    known_types : collection of str, optional
        Operators that it was trained with; not given, all count as known.
    """
    from tvm_go.learn.finetune_fusion import finetune_fusion

    if not problem.graph.num_ops:
        return
    unseen = [] if known_types is None else sorted(set(problem.graph.op_names) - set(known_types))
    if unseen:
        _LOGGER.warning("go: the policy was not trained on %s; it judges them by sizes and wiring", ", ".join(unseen))
    graph = described(problem, known_types)
    zero_shot(policy, problem, graph, rng)
    if problem.predicts():
        follow(problem)
    finetune_fusion(policy, problem, graph, rng)


def _search_by(checkpoint: Checkpoint, problem: Problem, rng: np.random.Generator) -> None:
    search_with(checkpoint.policy, problem, rng, known_types=checkpoint.record.get("op_types", ()))


def described(problem: Problem, known_types: Collection[str] | None = None) -> GraphInput:
    """What the policy sees of a problem; if the oracle predicts, what it expects of each decision is told as well."""
    from tvm_go.learn.fusion import with_gains
    from tvm_go.policy.kernel_graph import kernel_graph

    graph = kernel_graph(problem.graph, problem.default, problem.rules, known_types=known_types)
    return with_gains(problem, graph) if problem.predicts() else graph


def zero_shot(policy: Policy, problem: Problem, graph: GraphInput, rng: np.random.Generator) -> None:
    """Ask for the most likely plan, and for some that leave TVM's way more often and less often.

    If the oracle predicts, for what it expects the best of these, or TVM's default, to lead to as well.

    Parameters
    ----------
    graph : GraphInput
        Of the problem, by :func:`described`.
    """
    import torch

    from tvm_go.learn.fusion import choices_of, legal_plans, likely_plans

    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    plans = legal_plans(problem, choices_of(graph), likely_plans(policy, graph, generator))
    if problem.predicts():
        likely = plans[int(np.argmin(problem.expected_all(plans)))]
        plans.append(min((foreseen(problem, start) for start in (likely, problem.default)), key=problem.expected))
    problem.cost(plans)
