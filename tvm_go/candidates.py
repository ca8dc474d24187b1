"""A model in the forms between which measuring decides: TVM's own, those by rule, those that were searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relay

from cost_model.oracle import KernelOracle
from relay_passes.dataflow import read
from relay_passes.prepare import prepare_base
from relay_passes.variants import options, suggested, units
from tvm_go.errors import UnsupportedModelError
from tvm_go.model import Model
from tvm_go.rules import Rules
from tvm_go.search import Budget, Problem
from tvm_go.variant_search import VariantSearch

_HOPELESS = 1.5  # times the least sum that is expected: such a candidate is not measured if it can be predicted
_CLOSE = 1.2  # sums of kernels whose ratio is less do not tell which whole is faster


@dataclass
class Candidates:
    """Models that differ in the forms of their ops only.

    Attributes
    ----------
    base : tvm.IRModule
        Where forms are decided.
    models : list of Model
        TVM's own forms first, what was added last at the end; no two are equal.
    names : list of str
        Form of each op of ``base``, the best so far.
    known : mapping of str to str
        Forms that were measured before, by key of a unit of ops.
    reason : str
        Why there is only one model, while there is.
    """

    base: tvm.IRModule
    models: list[Model]
    names: list[str]
    known: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    @staticmethod
    def prepare(
        mod: tvm.IRModule | relay.Function,
        params: Mapping[str, Any] | None,
        target: tvm.target.Target,
        *,
        vary: bool,
        known: Mapping[str, str],
        by_tir: bool = True,
    ) -> Candidates:
        """The model as TVM forms it and, if forms are to vary, as what is known and our rules suggest.

        ``by_tir`` says whether kernels may take the generic TIR schedule.
        """
        base = prepare_base(mod, params, target=target)
        default = Model.with_variants(base, None, target)
        if not vary:
            return Candidates(base, [default], [], reason="variants are not decided")
        names = with_known(base, suggested(base, target, by_tir=by_tir), known, target)
        found = Candidates(base, [default], names, known)
        found._add(found.names)
        return found

    @property
    def default(self) -> Model:
        return self.models[0]

    @property
    def vary(self) -> bool:
        return bool(self.names)

    def search(
        self,
        oracle: KernelOracle,
        rules: Rules,
        budget: Budget,
        times: dict[str, float],
        on_progress: Callable[[Problem], None],
    ) -> dict[str, str]:
        """Measure other forms op by op, and add the model in the best of them; returns what was found, by unit."""
        search = VariantSearch(
            self.base, self.default.target, self.names, oracle, rules, budget, times, self.known, on_progress
        )
        self.names = search.run()
        self._add(self.names)
        return search.forms

    def _add(self, names: Sequence[str]) -> None:
        try:
            model = Model.with_variants(self.base, names, self.default.target)
        except UnsupportedModelError as error:
            self.reason = str(error)
            return
        if all(model.graph.structural_hash != other.graph.structural_hash for other in self.models):
            self.models.append(model)
            self.reason = ""
        elif len(self.models) == 1:
            self.reason = "TVM's own forms are the best that is known"


def fastest(
    pairs: Sequence[tuple[Problem, Model]], speedup: Callable[[Problem, Model], float]
) -> tuple[Problem, Model]:
    """The candidate whose kernels sum up to least; of those that come close to it, the one that is fastest as a whole.

    Parameters
    ----------
    pairs : sequence of (Problem, Model)
    speedup : callable
        Builds a candidate whole, and says how many times faster than a build that is the same for all it is.
    """
    expected = [problem.expected(problem.default) for problem, _ in pairs]
    hopeful = [pair for pair, ms in zip(pairs, expected, strict=True) if ms <= _HOPELESS * min(expected)]
    ranked = sorted(hopeful, key=lambda pair: pair[0].cost_default())
    close = [pair for pair in ranked if pair[0].default_ms <= _CLOSE * ranked[0][0].default_ms]
    return ranked[0] if len(close) == 1 else max(close, key=lambda pair: speedup(*pair))


def with_known(
    base: tvm.IRModule, names: Sequence[str], known: Mapping[str, str], target: tvm.target.Target
) -> list[str]:
    """Forms, with those that were measured before in the place of some: for equal ops in equal surroundings."""
    found = list(names)
    if known:
        flow = read(base)
        legal = options(flow, target)
        for unit in units(flow, target):
            form = known.get(unit.key)
            for op in unit.ops:
                found[op] = form if form is not None and form in legal[op] else found[op]
    return found
