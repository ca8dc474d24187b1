"""What is prepared before training: graphs with references and targets."""

import numpy as np
import pytest

from tests.tvm_go.learn.cases import chains, gpus, lesson_of, problem_of
from tvm_go.errors import UsageError
from tvm_go.learn.alike import canonical
from tvm_go.learn.corpus import CorpusConfig, draw_corpus
from tvm_go.learn.lesson import standard_orders
from tvm_go.search.placement import expert
from tvm_go.simulate import Workload


def test_the_target_has_the_time_that_is_written_beside_it_and_is_named_canonically() -> None:
    lesson = lesson_of(chains(count=3), gpus(3))
    devices = lesson.target[lesson.exercise.graph.colocation].astype(np.int32)[None]
    assert lesson.exercise.evaluate(devices, lesson.exercise.order[None]).tolist() == [lesson.target_ms]
    assert np.array_equal(canonical(lesson.target, lesson.alike), lesson.target)


def test_the_reference_is_what_the_expert_finds_and_the_target_is_no_worse() -> None:
    workload, machine = chains(count=3), gpus(2)
    problem = problem_of(workload, machine, 100)
    expert.search(problem, np.random.default_rng(0))
    lesson = lesson_of(workload, machine)
    assert lesson.exercise.reference_ms == problem.best_value
    assert lesson.target_ms <= problem.best_value


def test_where_nothing_is_feasible_there_is_no_target_and_the_reference_is_all_work() -> None:
    lesson = lesson_of(chains(count=2, length=6), gpus(2, memory_bytes=1.0))
    assert not len(lesson.target)
    assert lesson.exercise.reference_ms == 12.0


def test_a_graph_without_ops_is_refused() -> None:
    empty = Workload.of("empty", ("gpu",), np.empty((0, 1)), np.empty((0, 2), int), output_bytes=np.empty(0))
    with pytest.raises(UsageError, match="empty has no ops"):
        lesson_of(empty, gpus())


def test_only_under_concurrent_is_there_a_second_order() -> None:
    assert len(standard_orders(chains(), gpus(), "concurrent")) == 2
    assert len(standard_orders(chains(), gpus(), "sequential")) == 1


def test_a_corpus_has_all_families_and_device_counts_and_no_name_twice() -> None:
    config = CorpusConfig(("rnnlm", "gpt"), least_ops=150, most_ops=200, devices=(2, 4))
    cases = draw_corpus(config, 8, np.random.default_rng(0))
    assert len({case.workload.name for case in cases}) == 8
    assert {(w.name.split("-")[0].split(" ")[0], m.num_devices) for w, m, _ in cases} == {
        ("rnnlm", 2),
        ("rnnlm", 4),
        ("gpt", 2),
        ("gpt", 4),
    }


def test_the_same_seed_draws_the_same_corpus() -> None:
    config = CorpusConfig(("rnnlm",), least_ops=150, most_ops=200)
    one, other = (draw_corpus(config, 3, np.random.default_rng(5)) for _ in range(2))
    assert all(
        np.array_equal(a.op_ms, b.op_ms) and m.devices == n.devices
        for (a, m, _), (b, n, _) in zip(one, other, strict=True)
    )


def test_under_throughput_there_is_a_host_and_objectives_take_turns() -> None:
    config = CorpusConfig(("rnnlm",), ("concurrent", "throughput"), least_ops=100, most_ops=120, devices=(2,))
    cases = draw_corpus(config, 4, np.random.default_rng(0))
    assert [case.objective for case in cases] == ["concurrent", "throughput"] * 2
    assert [case.machine.num_devices for case in cases] == [2, 3] * 2
