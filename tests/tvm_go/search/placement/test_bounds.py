"""Bounds hold for every placement, and an infeasible problem is called so with its reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tvm_go.search.placement.drawn import problems
from tests.tvm_go.search.placement.small import brute_force
from tvm_go.errors import UnsupportedModelError
from tvm_go.search.placement.bounds import fluid, longest_path, lower_bound
from tvm_go.simulate import Device, Machine, Workload
from tvm_go.simulate.objectives import OBJECTIVES, evaluate


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(problem=problems())
@settings(deadline=None, max_examples=60)
def test_no_placement_is_below_the_bound(objective: str, problem: tuple[Workload, Machine]) -> None:
    workload, machine = problem
    best = evaluate(workload, machine, objective, brute_force(workload, machine)).min()
    try:
        bound = lower_bound(workload, machine, objective)
    except UnsupportedModelError:
        bound = np.inf
    assert bound <= best * (1 + 1e-9)
    assert bound > 0


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_fluid_bound_of_two_kinds_is_near_the_exact_linear_program(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    ms = rng.uniform(1, 10, (30, 2))
    by_ratio = ms[np.argsort(ms[:, 0] / ms[:, 1])]
    first, second = np.cumsum(by_ratio[:, 0]), by_ratio[:, 1].sum() - np.cumsum(by_ratio[:, 1])
    divided = int(np.argmax(first >= second))  # all before it on the first device, all after it on the second
    before, after = first[divided] - by_ratio[divided, 0], second[divided]
    share = (after + by_ratio[divided, 1] - before) / by_ratio[divided].sum()
    exact = before + share * by_ratio[divided, 0]
    bound = fluid(ms, np.zeros(30), np.full(2, np.inf))
    assert 0.98 * exact <= bound <= exact * (1 + 1e-9)


def test_fluid_bound_knows_that_scarce_memory_pushes_work_to_a_slow_device() -> None:
    ms = np.tile([10.0, 1.0], (8, 1))
    free = fluid(ms, np.ones(8), np.array([np.inf, np.inf]))
    scarce = fluid(ms, np.ones(8), np.array([np.inf, 2.0]))
    assert free < 8.0
    assert 2 * free < scarce <= 60.0  # six of eight are on the slow one


def test_longest_path_of_a_diamond() -> None:
    starts, producers = np.array([0, 0, 1, 2, 4]), np.array([0, 0, 1, 2], dtype=np.int32)
    assert longest_path(np.array([1.0, 2.0, 5.0, 1.0]), starts, producers) == 7.0


def _machine(*memory: float) -> Machine:
    devices = tuple(Device(f"d{i}", "cpu" if i == 0 else "gpu", one) for i, one in enumerate(memory))
    return Machine.uniform("box", devices, 1.0)


def _workload(op_ms: list[list[float]], resident: list[float], colocation: list[int]) -> Workload:
    count = len(op_ms)
    return Workload.of(
        "net",
        ("cpu", "gpu"),
        np.array(op_ms),
        np.empty((0, 2), dtype=np.int64),
        output_bytes=np.zeros(count),
        resident_bytes=np.array(resident),
        colocation=np.array(colocation),
        op_ids=tuple(f"op{i}" for i in range(count)),
    )


@pytest.mark.parametrize(
    ("op_ms", "resident", "colocation", "memory", "parts"),
    [
        ([[1, 1], [np.inf, np.inf]], [0, 0], [-1, -1], (9, 9), ["op1", "runs on no device of box"]),
        ([[1, np.inf], [np.inf, 1]], [0, 0], [0, 0], (9, 9), ["op0", "can be on no device", "must share one"]),
        ([[1, 1], [1, 1]], [1, 12], [-1, -1], (9, 9), ["op1", "can be on no device", "9 bytes"]),
        ([[1, 1], [1, 1]], [6, 6], [0, 0], (9, 9), ["op0", "can be on no device", "memory"]),
        ([[1, 1], [1, 1], [1, 1]], [7, 7, 7], [-1, -1, -1], (9, 9), ["21 bytes", "have 18", "more memory"]),
    ],
)
@pytest.mark.parametrize("objective", ["throughput", "concurrent"])
def test_plain_infeasibility_is_named_with_its_reason(
    op_ms: list[list[float]],
    resident: list[float],
    colocation: list[int],
    memory: tuple[float, ...],
    parts: list[str],
    objective: str,
) -> None:
    with pytest.raises(UnsupportedModelError) as error:
        lower_bound(_workload(op_ms, resident, colocation), _machine(*memory), objective)
    assert [part for part in parts if part not in str(error.value)] == [], error.value
