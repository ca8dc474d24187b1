"""Batches of placements: values, infeasible ones, threads, and wrong arguments."""

from typing import Any

import numba
import numpy as np
import pytest

from tvm_go.errors import UnsupportedModelError, UsageError
from tvm_go.graph import Int32
from tvm_go.simulate import EXECUTORS, OBJECTIVES, Device, Machine, Workload, evaluate
from tvm_go.simulate.costs import Costs, costs_of, longest_remaining_ms
from tvm_go.simulate.executors.concurrent import concurrent_ms
from tvm_go.simulate.split_scores import latency, throughput
from tvm_go.simulate.workload import Floats

MACHINE = Machine.uniform(
    "two", (Device("fast", "gpu", 100.0), Device("host", "cpu")), bytes_per_ms=2.0, latency_ms=0.5
)


def chain(op_ms: Any = ((1.0, 2.0), (1.0, 2.0), (1.0, 2.0)), **options: Any) -> Workload:
    sizes: dict[str, Any] = {"output_bytes": np.full(3, 4.0), **options}
    return Workload.of("chain", ("gpu", "cpu"), np.array(op_ms), np.array([(0, 1), (1, 2)]), **sizes)


def random_batch(num_ops: int, batch: int) -> tuple[Workload, Machine, Int32, Floats]:
    """A random graph on four devices, with placements and priorities [B, N]."""
    rng = np.random.default_rng(0)
    reader = np.repeat(np.arange(1, num_ops), 2)
    edges = np.column_stack([(rng.random(len(reader)) * reader).astype(np.int64), reader])
    sizes = rng.exponential(1.0, num_ops)
    workload = Workload.of("random", ("gpu",), rng.exponential(1.0, (num_ops, 1)), edges, output_bytes=sizes)
    machine = Machine.uniform("four", tuple(Device(f"gpu{i}", "gpu") for i in range(4)), bytes_per_ms=1.0)
    devices = rng.integers(0, 4, (batch, num_ops)).astype(np.int32)
    return workload, machine, devices, rng.random((batch, num_ops))


def test_values_of_a_chain_are_those_worked_out_by_hand() -> None:
    devices = np.array([[0, 0, 0], [0, 1, 0]])
    assert evaluate(chain(), MACHINE, "sequential", devices).tolist() == [3.0, 9.0]
    assert evaluate(chain(), MACHINE, "concurrent", devices).tolist() == [3.0, 9.0]
    assert evaluate(chain(), MACHINE, "pipeline", devices).tolist() == [3.0, 5.0]  # two transfers of 2.5 ms


def test_judged_objectives_are_those_of_split_scores() -> None:
    devices = np.array([[0, 0, 0], [1, 0, 0]], dtype=np.int32)
    for objective, score in (("throughput", throughput), ("latency", latency)):
        assert evaluate(chain(), MACHINE, objective, devices).tolist() == score(chain(), MACHINE, devices).tolist()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_not_feasible_is_inf(objective: str) -> None:
    everywhere = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 1]])
    stuck = chain(((1.0, 2.0), (np.inf, 2.0), (1.0, 2.0)))
    assert np.isinf(evaluate(stuck, MACHINE, objective, everywhere)).tolist() == [True, False, True]
    apart = chain(colocation=np.array([1, 2, 1]))
    assert np.isinf(evaluate(apart, MACHINE, objective, everywhere)).tolist() == [False, False, True]
    heavy = chain(resident_bytes=np.array([60.0, 20.0, 41.0]))
    assert np.isinf(evaluate(heavy, MACHINE, objective, everywhere)).tolist() == [True, False, False]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_batch_in_threads_gives_what_single_placements_give(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workload, machine, devices, priorities = random_batch(num_ops=3000, batch=9)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 4)
    rows = [slice(i, i + 1) for i in range(len(devices))]
    given = [float(evaluate(workload, machine, executor, devices[row], priorities[row])[0]) for row in rows]
    assert evaluate(workload, machine, executor, devices, priorities).tolist() == given
    default = [float(evaluate(workload, machine, executor, devices[row])[0]) for row in rows]
    assert evaluate(workload, machine, executor, devices).tolist() == default
    assert evaluate(workload, machine, executor, devices[:0]).tolist() == []


def test_compiled_loops_can_call_an_executor_themselves() -> None:
    @numba.njit
    def best_of(costs: Costs, devices: Int32, priority: Floats) -> float:
        best = np.inf
        for i in range(len(devices)):
            best = min(best, concurrent_ms(costs, devices[i], priority))
        return best

    workload, machine, devices, _ = random_batch(num_ops=100, batch=5)
    costs = costs_of(workload, machine)
    value = best_of(costs, devices, longest_remaining_ms(costs))
    assert value == evaluate(workload, machine, "concurrent", devices).min()


def test_without_priorities_the_longest_remaining_way_goes_first() -> None:
    """Op 0 leads to a long tail, op 1 to nothing; started the other way round, op 1 delays all."""
    op_ms = np.array([[1.0], [1.0], [9.0]])
    workload = Workload.of("tail", ("gpu",), op_ms, np.array([(1, 2)]), output_bytes=np.ones(3))
    machine = Machine.uniform("two", (Device("a", "gpu"), Device("b", "gpu")), bytes_per_ms=1.0)
    devices = np.array([[0, 0, 1]])
    assert evaluate(workload, machine, "concurrent", devices).tolist() == [11.0]
    assert evaluate(workload, machine, "concurrent", devices, np.array([[3.0, 2.0, 1.0]])).tolist() == [12.0]


@pytest.mark.parametrize(
    ("devices", "priorities", "message"),
    [
        (np.array([0, 0, 0]), None, r"placements are int64 \(3,\); give whole numbers \[B, 3\]"),
        (np.array([[0, 0]]), None, r"placements are int64 \(1, 2\)"),
        (np.array([[0.0, 0.0, 0.0]]), None, "placements are float64"),
        (np.array([[0, 2, 0]]), None, "op 1 is placed on device 2; two has devices 0 to 1"),
        (np.array([[0, -1, 0]]), None, "op 1 is placed on device -1"),
        (np.array([[0, 0, 0]]), np.zeros((2, 3)), r"priorities are \(2, 3\); give \(1, 3\)"),
        (np.array([[0, 0, 0]]), np.array([[0, np.nan, 0]]), "priority of op 1 in placement 0 is nan"),
    ],
)
def test_wrong_arguments_are_named(devices: Int32, priorities: Floats | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(chain(), MACHINE, "concurrent", devices, priorities)


def test_an_unknown_objective_is_named_with_the_choices() -> None:
    with pytest.raises(UsageError, match="unknown objective 'speed'; choose from throughput, latency, sequential"):
        evaluate(chain(), MACHINE, "speed", np.array([[0, 0, 0]]))


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (chain(((1.0, 2.0), (np.nan, 2.0), (1.0, 2.0))), "chain: op 1 has nan milliseconds"),
        (chain(((1.0, 2.0), (1.0, -2.0), (1.0, 2.0))), "chain: op 1 has -2.0 milliseconds"),
        (chain(output_bytes=np.array([1.0, 1.0, np.inf])), "chain: op 2 has inf output bytes"),
        (chain(resident_bytes=np.array([-1.0, 1.0, 1.0])), "chain: op 0 has -1.0 resident bytes"),
        (chain(((1.0, 2.0), (np.inf, np.inf), (1.0, 2.0))), "chain: op 1 runs on no device of two"),
    ],
)
def test_costs_that_cannot_be_used_are_named(workload: Workload, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        evaluate(workload, MACHINE, "sequential", np.array([[0, 0, 0]]))
