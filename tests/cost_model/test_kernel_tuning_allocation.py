"""Trials go where the plan gains most, and leave what gives nothing."""

from __future__ import annotations

import json

import pytest

from cost_model.kernel_tuning.allocation import Arm, KernelState, choose
from cost_model.kernel_tuning.roofline import Roofline
from cost_model.kernel_tuning.tile_search import neighbours, text_of
from relay_passes.schedules import Tiling
from relay_passes.targets import as_target
from tvm_go.lowering import TIR


def spend(states: list[KernelState], rounds: int, factor: dict[int, float]) -> list[int]:
    """Trials by kernel when each batch multiplies its kernel's time by a factor."""
    arms = [Arm(number, "tir", 8) for number in range(len(states))]
    for _ in range(rounds):
        for arm in choose(arms, states, 1):
            state = states[arm.kernel]
            new = max(state.bound_ms, state.best_ms * factor.get(arm.kernel, 1.0))
            arm.gains_ms.append(state.best_ms - new)
            arm.history += [(TIR, new)] * 8
            state.best_ms = new
    return [len(arm.history) for arm in arms]


def test_a_kernel_that_occurs_often_counts_that_often() -> None:
    rare, often = spend([KernelState(1, 0.1, 1.0), KernelState(10, 0.1, 1.0)], 20, {})
    assert often > 5 * rare > 0


def test_a_kernel_at_its_bound_gets_little() -> None:
    done, slow = spend([KernelState(1, 0.95, 1.0), KernelState(1, 0.1, 1.0)], 20, {})
    assert slow > 3 * done


def test_what_improves_is_followed() -> None:
    state = KernelState(1, 0.01, 1.0)
    stuck = Arm(0, "tir", 8, history=[(TIR, 1.0)] * 24, gains_ms=[0.0, 0.0, 0.0])
    improving = Arm(0, "tir", 8, history=[(TIR, 1.0)] * 24, gains_ms=[0.0, 0.2, 0.1])
    assert choose([stuck, improving], [state], 1) == [improving]


def test_a_kind_that_is_far_behind_is_left_to_the_end() -> None:
    state = KernelState(1, 0.01, 1.0)
    behind = Arm(0, "metaschedule", 16, history=[(TIR, 2.0)] * 16, gains_ms=[0.0])
    close = Arm(0, "tir", 16, history=[(TIR, 1.05)] * 16, gains_ms=[0.0])
    failing = Arm(0, "tir", 16, history=[(TIR, float("inf"))] * 16, gains_ms=[0.0])
    assert choose([failing, behind, close], [state], 3) == [close, behind, failing]


def test_an_exhausted_arm_is_left() -> None:
    states = [KernelState(1, 0.1, 1.0), KernelState(1, 0.1, 0.2)]
    arms = [Arm(0, "tir", 8, exhausted=True), Arm(1, "tir", 8)]
    assert choose(arms, states, 2) == [arms[1]]


@pytest.mark.parametrize("target", ["llvm -mcpu=core-avx2 -num-cores=2", "llvm -mcpu=skylake-avx512 -num-cores=2"])
def test_a_bound_is_never_above_what_was_seen(target: str) -> None:
    seen = [(1e9, 1e6, 1.0), (0.0, 1e9, 5.0), (1e6, 1e4, 0.5)]
    roofline = Roofline.of(as_target(target), seen)
    assert all(roofline.bound_ms(flops, moved) <= ms + 0.002 for flops, moved, ms in seen)
    assert Roofline.of(as_target(target), []).bound_ms(1e9, 1e6) > 1.0


def test_neighbours_differ_and_keep_the_register_tile() -> None:
    start = Tiling(2, (4, 3))
    found = list(neighbours(start))
    assert len({text_of(one) for one in [start, *found]}) == len(found) + 1
    assert all((one.vectors, one.rows) == (2, (4, 3)) for one in found)
    assert Tiling.from_json(json.loads(text_of(start))) == start
