"""What a kind of training has to say: what it learns from and how, after its options were checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from tvm_go.learn.run import RunOptions
from tvm_go.policy import Policy, PolicyConfig

#: Told how many graphs or models are prepared, and what share of all that is.
Tell = Callable[[int, float], object]
LessonT = TypeVar("LessonT")


class Course(Protocol[LessonT]):
    """One kind of training.

    Attributes
    ----------
    policy : PolicyConfig
        What is trained.
    steps : int
        That are taken, and that imitate, if nothing else is asked for.
    """

    @property
    def policy(self) -> PolicyConfig: ...

    @property
    def steps(self) -> int: ...

    def prepare(self, tell: Tell) -> tuple[Sequence[LessonT], dict[str, Any]]:
        """What is learned from, and what the policy's record says of it beside the run's own.

        Raises
        ------
        UsageError, UnsupportedModelError
            If there is nothing to learn.
        """

    def train(
        self,
        policy: Policy,
        lessons: Sequence[LessonT],
        *,
        steps: int,
        imitation_steps: int,
        rng: np.random.Generator,
        options: RunOptions,
    ) -> dict[str, Any]:
        """Train a policy in place; returns the record of the run."""
