"""Imitation: raise the probability of the best known plan, which warms a policy up before it learns by reward."""

from __future__ import annotations

import numpy as np
import torch

from tvm_go.graph import Int64
from tvm_go.learn.episodes import Exercise
from tvm_go.policy import Policy
from tvm_go.simulate.workload import Floats


def imitation_loss(policy: Policy, exercise: Exercise, target: Int64, generator: torch.Generator) -> torch.Tensor:
    """Cross-entropy of the best known plan, nats per colocation class and round: a scalar.

    Every round is asked for it after rounds that the policy draws itself, so that the later ones learn to mend what it
    really does (Ross et al., "A reduction of imitation learning to no-regret online learning", AISTATS 2011).

    Parameters
    ----------
    target : int64 [C]
        Device of each class, named as by `tvm_go.learn.alike.canonical`. Levels of priority follow from the order of
        the exercise.
    """
    plan = {"placement": torch.from_numpy(target)}
    if "schedule" in policy.config.tasks:
        plan["schedule"] = torch.from_numpy(_levels(exercise.order, policy.config.levels))
    (score,) = policy.score_plans([exercise.graph], [plan], generator)
    return -score.log_prob_per_class.mean() / policy.config.rounds


def _levels(order: Floats, count: int) -> Int64:
    """Cut priorities, larger first, into levels of about equally many ops: int64 [N]."""
    rank = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    return rank * count // max(len(order), 1)
