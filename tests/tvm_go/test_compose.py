"""Random variants, kernels and lowerings of random small models: always the numbers of the model as it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st

from cost_model.child import ChildProcess
from relay_passes.numerics import compare
from tests.relay_passes.random_relay import modules
from tests.relay_passes.test_schedules import TARGETS, cpu_flags
from tests.tvm_go.composing import TIMEOUT_S, Array, Composer, NoLoweringError, plain_outputs, planned_outputs
from tvm_go.errors import UnsupportedModelError

#: The best that this CPU runs.
TARGET = next(target for target, needed in reversed(TARGETS.items()) if needed <= cpu_flags())
seeds = st.integers(0, 2**32 - 1)
slow_to_draw = list(HealthCheck)


@pytest.fixture(scope="module")
def composer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composer]:
    child = ChildProcess(name="compose", work_dir=tmp_path_factory.mktemp("compose"))
    yield Composer(TARGET, child)
    child.close()


def verdict(composer: Composer, mod: tvm.IRModule, seed: int) -> str:
    """``right``, or why there is nothing to compare; an assertion fails where a plan is wrong."""
    rng = np.random.default_rng(seed)
    try:
        plan = composer.plan(mod, rng)
    except UnsupportedModelError as error:
        return f"unsupported: {error}"
    except NoLoweringError as error:
        return f"no lowering: {error}"
    shapes = {var.name_hint: [int(extent) for extent in var.checked_type.shape] for var in mod["main"].params}
    inputs: dict[str, Array] = {name: rng.standard_normal(shape).astype("float32") for name, shape in shapes.items()}
    moved = {name: (value * (1 + 1e-6 * rng.standard_normal(value.shape))).astype("float32")
             for name, value in inputs.items()}  # fmt: skip
    text = tvm.ir.save_json(mod)
    expected, nearby = composer.child.call(plain_outputs, text, [inputs, moved], timeout_s=TIMEOUT_S)
    try:
        actual = composer.child.call(planned_outputs, text, json.dumps(plan.to_json()), inputs, timeout_s=TIMEOUT_S)
    except Exception as error:
        raise AssertionError(f"each kernel builds alone, and the plan does not: {plan.to_json()}") from error
    for one, other, near in zip(actual, expected, nearby, strict=True):
        ok, off_by = compare(one, other)
        sensitive = compare(near, other)[1] > 0.1 * off_by  # a rounding error anywhere changes as much
        assert ok or sensitive, f"an output is off by {off_by:.1e}\n{mod}\n{plan.to_json()}"
    kinds = Counter(lowering.kind for lowering in plan.lowering)
    event(f"rules {plan.rules}, lowerings {sorted(kinds)}, variants {bool(plan.variants)}")
    return "right"


@given(mod=modules(max_steps=8, compound=True), seed=seeds)
@settings(max_examples=12, deadline=None, suppress_health_check=slow_to_draw)
def test_random_plans_keep_the_numbers(composer: Composer, mod: tvm.IRModule, seed: int) -> None:
    if verdict(composer, mod, seed) != "right":
        reject()


@pytest.mark.campaign
def test_hundreds_of_random_plans_keep_the_numbers(composer: Composer) -> None:
    verdicts: Counter[str] = Counter()

    @given(mod=modules(max_steps=16, compound=True), seed=seeds)
    @settings(max_examples=400, deadline=None, suppress_health_check=slow_to_draw)
    def run(mod: tvm.IRModule, seed: int) -> None:
        verdicts[verdict(composer, mod, seed)[:300]] += 1

    run()
    for reason, count in verdicts.most_common():
        print(count, reason)
    assert verdicts["right"] > 0.5 * sum(verdicts.values())
