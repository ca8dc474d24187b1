"""Hierarchical device placement: a learned grouper and a learned placer, trained together by REINFORCE.

Mirhoseini et al., "A Hierarchical Model for Device Placement" (ICLR 2018). A feed-forward network draws a group for
every op, a sequence-to-sequence network a device for every group, and both follow the policy gradient of
``-sqrt(time)`` over a moving average. An op that cannot run on its group's device goes where it is quickest, as under
TensorFlow's soft placement, with which the paper worked.

What differs: ops have costs instead of types; colocation classes are placed, not ops; several groupings are drawn in
each step; attention is multiplicative; an entropy bonus takes the place of noise on the logits; rates are lower.
"""

from __future__ import annotations

import numpy as np

from tvm_go.errors import UsageError
from tvm_go.search.placement.problem import PlacementProblem


def search(problem: PlacementProblem, rng: np.random.Generator) -> None:
    """Train until the budget is spent; the problem keeps the best placement that was drawn.

    Raises
    ------
    UsageError
        If torch is not installed.
    """
    try:
        from tvm_go.search.placement._hdp_training import Learner
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError("strategy 'hdp' needs torch: pip install 'tvm-go[torch]'") from None
    learner = Learner(problem, rng)
    while not problem.exhausted:
        learner.step()
