"""Training a policy that fuses, on one's own models: what kernels take is expected, nothing is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tvm

from cost_model.pretrained import SHIPPED
from relay_passes.target_set import TargetSet
from tvm_go.collect import seed_of
from tvm_go.errors import UsageError
from tvm_go.expected_times import ExpectedTimes
from tvm_go.learn.fusion import FusionLesson, prepare_fusion_lesson
from tvm_go.learn.fusion_training import FusionTraining, expected_speedup, train_fusion
from tvm_go.learn.run import RunOptions
from tvm_go.model_forms import Form, forms_of
from tvm_go.policy import Policy, PolicyConfig
from tvm_go.rules import rule_set
from tvm_go.training_course import Tell

POLICY = PolicyConfig(tasks=("fusion",), rounds=1, width=32)
TRAINING = FusionTraining()
FORMS = 4
RULES = "open"
"""What a kernel may hold in the plans that are learned from: the rule set that allows most."""


class LoadedModel(Protocol):
    """A model as `tvm.driver.tvmc.load` gives it."""

    @property
    def mod(self) -> tvm.IRModule: ...

    @property
    def params(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True)
class FusionCourse:
    """Changes of TVM's default plans that are expected to gain are taken, and the policy imitates what is left.

    Attributes
    ----------
    forms : int
        Of each model at random, beside TVM's own and those that rules suggest.
    about : mapping
        What the record says of all this.
    """

    models: Mapping[str, LoadedModel]
    target: tvm.target.Target
    times: ExpectedTimes
    seed: int
    forms: int
    about: Mapping[str, Any]
    policy: PolicyConfig = field(default_factory=lambda: POLICY)
    steps: int = TRAINING.steps

    @staticmethod
    def of(
        models: Mapping[str, LoadedModel],
        seed: int,
        *,
        target: str | tvm.target.Target = "native",
        log: str | Path | Sequence[str | Path] = (),
        cost_model: str | Path = SHIPPED,
        forms: int = FORMS,
    ) -> FusionCourse:
        """Read logs and cost model; see `tvm_go.train` for the parameters.

        Raises
        ------
        UsageError, LogError
            If a file cannot be used, no cost model ships for the target, or a number cannot be.
        """
        if forms < 0:
            raise UsageError(f"forms are {forms}; give 0 or more")
        if not models:
            raise UsageError("there is no model to learn from; give at least one")
        host = TargetSet.parse(target).host
        logs = [log] if isinstance(log, str | Path) else list(log)
        about = {"target": str(host), "logs": [str(one) for one in logs], "cost_model": str(cost_model), "forms": forms}
        return FusionCourse(models, host, ExpectedTimes.read(host, logs, cost_model), seed, forms, about)

    def prepare(self, tell: Tell) -> tuple[list[FusionLesson], dict[str, Any]]:
        """Prepare each model in its forms, and improve the default plan of each form.

        The record names the operators in them: of others a policy is told that it does not know them.
        """
        found: list[FusionLesson] = []
        op_types: set[str] = set()
        for number, (name, model) in enumerate(self.models.items()):
            tell(number, number / len(self.models))
            forms = forms_of(model.mod, model.params, self.target, more=self.forms, seed=seed_of(name, self.seed))
            before = len(found)
            for i, form in enumerate(forms):
                tell(number, (number + (i + 1) / (len(forms) + 1)) / len(self.models))
                lesson = fusion_lesson(f"{name}.{i}", form, self.times, self.seed)
                if lesson is not None:
                    found.append(lesson)
                    op_types.update(form.graph.op_names)
            if len(found) == before:
                raise UsageError(
                    f"{name}: no two of its ops may be one kernel, or kernels of TVM's own plan are expected to fail: "
                    "there is nothing to learn from it; leave it out"
                )
        return found, {**self.about, "op_types": sorted(op_types)}

    def train(
        self,
        policy: Policy,
        lessons: Sequence[FusionLesson],
        *,
        steps: int,
        imitation_steps: int,
        rng: np.random.Generator,
        options: RunOptions,
    ) -> dict[str, Any]:
        """See `tvm_go.learn.fusion_training.train_fusion`; the record also says what the likeliest plans are worth."""
        config = replace(TRAINING, steps=steps, imitation_steps=imitation_steps)
        record = train_fusion(policy, lessons, config, rng, options)
        return record | {"expected_speedup": expected_speedup(policy, lessons)}


def fusion_lesson(name: str, form: Form, times: ExpectedTimes, seed: int) -> FusionLesson | None:
    """Improve the default plan of a model in one form by what is expected of its kernels.

    None where no two ops may be one kernel, or the default is expected to fail.
    """
    problem = times.problem(form.graph, form.default, rule_set(RULES))
    if not np.isfinite(problem.default_ms):
        return None
    lesson = prepare_fusion_lesson(problem, name, np.random.default_rng(seed_of(name, seed)))
    return lesson if len(lesson.target) else None
