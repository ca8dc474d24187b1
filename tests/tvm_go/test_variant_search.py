"""The search over forms, against an oracle that knows what it thinks of each op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
import tvm
from tvm import relay

from cost_model.oracle import KernelOracle
from relay_passes.dataflow import Dataflow, read
from relay_passes.prepare import prepare_base
from relay_passes.targets import as_target
from relay_passes.variants import DEFAULT, units
from tests.relay_passes.test_variants import as_module, weight
from tvm_go.candidates import Candidates, fastest, with_known
from tvm_go.graph import OpGraph
from tvm_go.kernels import Kernel
from tvm_go.model import Model
from tvm_go.rules import rule_set
from tvm_go.search import Budget, Problem
from tvm_go.variant_search import VariantSearch

TARGET = as_target("llvm")


class Opinion:
    """Milliseconds of a kernel: the sum of what each of its ops is thought to take; 1 for any other."""

    def __init__(self, **milliseconds: float) -> None:
        self.milliseconds = milliseconds
        self.asked: list[str] = []

    def ask(self, flow: Dataflow, graph: OpGraph, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        self.asked += [key for key, _ in requests]
        names = [[graph.name(op).split(".")[-1] for op in kernel.ops] for _, kernel in requests]
        return [sum(self.milliseconds.get(name, 1.0) for name in ops) for ops in names]

    def is_guess(self, key: str) -> bool:
        return False

    def guessed_ms(self, key: str) -> None:
        return None


def grouped(count: int = 3) -> tvm.IRModule:
    y = relay.var("x", shape=(1, 24, 8, 8))
    for seed in range(count):
        y = relay.nn.relu(
            relay.nn.conv2d(y, weight(24, 6, 1, 1, seed=seed), channels=24, kernel_size=(1, 1), groups=4)
        )  # fmt: skip
    return as_module(y)


def search(mod: tvm.IRModule, opinion: Opinion, kernels: int = 1000, **options: object) -> VariantSearch:
    base = prepare_base(mod, target=TARGET)
    names = [DEFAULT] * len(read(base).calls)
    oracle = cast(KernelOracle, opinion)
    return VariantSearch(base, TARGET, names, oracle, rule_set("open"), Budget(kernels), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cheap", "form"), [({"batch_matmul": 0.01, "conv2d": 90.0, "contrib_conv2d_NCHWc": 90.0}, "matmul"), ({}, DEFAULT)]
)
def test_takes_what_is_fastest(cheap: dict[str, float], form: str) -> None:
    found = search(grouped(), Opinion(**cheap))
    names = found.run()
    assert [name for op, name in enumerate(names) if "conv2d" in read(found.base).operators[op].name] == [form] * 3
    assert set(found.forms.values()) == {form}


def test_ends_with_its_budget_and_keeps_what_it_has() -> None:
    opinion = Opinion(batch_matmul=0.01)
    found = search(grouped(), opinion, kernels=0)
    assert set(found.run()) == {DEFAULT}
    assert not found.forms
    assert not opinion.asked


def test_asks_for_no_kernel_twice() -> None:
    opinion = Opinion(batch_matmul=0.01)
    found = search(grouped(6), opinion)
    found.run()
    assert len(opinion.asked) == len(set(opinion.asked)) == len(found.times)


def test_leaves_out_what_is_known() -> None:
    mod = grouped()
    base = prepare_base(mod, target=TARGET)
    known = {unit.key: "NCHW" for unit in units(read(base), TARGET)}
    opinion = Opinion()
    search(mod, opinion, known=known).run()
    assert not opinion.asked
    names = with_known(base, [DEFAULT] * len(read(base).calls), known, TARGET)
    assert names.count("NCHW") == 3


def test_known_forms_that_do_not_apply_are_left_alone() -> None:
    base = prepare_base(grouped(), target=TARGET)
    known = {unit.key: "winograd/4" for unit in units(read(base), TARGET)}
    assert set(with_known(base, [DEFAULT] * len(read(base).calls), known, TARGET)) == {DEFAULT}


def test_candidates_are_distinct_and_say_why_there_is_only_one() -> None:
    alone = Candidates.prepare(grouped(), None, TARGET, vary=False, known={})
    assert (len(alone.models), alone.reason) == (1, "variants are not decided")
    several = Candidates.prepare(grouped(), None, TARGET, vary=True, known={})
    before = len(several.models)
    opinion = Opinion(batch_matmul=90.0, contrib_conv2d_NCHWc=0.01, conv2d=90.0)
    several.search(cast(KernelOracle, opinion), rule_set("open"), Budget(1000), {}, lambda problem: None)
    hashes = [model.graph.structural_hash for model in several.models]
    assert len(set(hashes)) == len(hashes) == before + 1
    assert not several.reason


@pytest.mark.parametrize(("sums", "built", "taken"), [((3.0, 1.0, 2.0), set(), 1), ((3.0, 1.0, 1.1), {1, 2}, 2)])
def test_sums_of_kernels_choose_a_candidate_and_wholes_do_where_they_are_close(
    sums: tuple[float, ...], built: set[int], taken: int
) -> None:
    model = Model.prepare(grouped(), None, TARGET)
    rules, seen = rule_set("open"), set()
    pairs = [
        (Problem(model.graph, model.default, rules, lambda asked, ms=ms: [ms] * len(asked)), model)  # type: ignore[misc]
        for ms in sums
    ]

    def speedup(problem: Problem, model: Model) -> float:
        number = next(number for number, (other, _) in enumerate(pairs) if other is problem)
        seen.add(number)
        return float(number)

    assert fastest(pairs, speedup)[0] is pairs[taken][0]
    assert seen == built
