"""Choose the forms of ops by measuring: each with its surroundings cut out, in every form that it can take."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import tvm

from cost_model.oracle import KernelOracle
from relay_passes.dataflow import Dataflow, read
from relay_passes.variants import DEFAULT, Unit, cut_out, options, units
from tvm_go.errors import PlanError, UnsupportedModelError
from tvm_go.model import Model
from tvm_go.problems import problem_of
from tvm_go.rules import Rules
from tvm_go.search import Budget, Problem

_LOGGER = logging.getLogger(__name__)
_HOPELESS = 1.3  # times the best so far: a form that is predicted to take more is not measured
_GAIN = 0.97  # of the time before: what is nearer than this may be noise


@dataclass
class VariantSearch:
    """Improves the forms of a model's ops, those first on which most work is spent.

    Parameters
    ----------
    base : tvm.IRModule
        From :func:`relay_passes.prepare.prepare_base`.
    budget : Budget
        Distinct kernels, those of ``times`` among them, and seconds.
    times : dict of str to float
        Milliseconds by kernel key, of all kernels that were asked for so far.
    known : mapping of str to str
        Forms of units that need no measuring.

    Attributes
    ----------
    names : list of str
        Form of each op; at first those given.
    forms : dict of str to str
        The forms that were found best by measuring, by key of the unit.
    """

    base: tvm.IRModule
    target: tvm.target.Target
    names: list[str]
    oracle: KernelOracle
    rules: Rules
    budget: Budget
    times: dict[str, float] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    on_progress: Callable[[Problem], None] = lambda problem: None
    forms: dict[str, str] = field(default_factory=dict)

    def run(self) -> list[str]:
        """Choose; returns the form of each op.

        Raises
        ------
        MeasureError, LogError
            As the oracle.
        """
        flow = read(self.base)
        legal = options(flow, self.target)
        deadline = time.monotonic() + self.budget.seconds
        alike: dict[str, list[Unit]] = {}
        for unit in units(flow, self.target):
            if unit.key not in self.known:
                alike.setdefault(unit.key, []).append(unit)
        for group in sorted(alike.values(), key=lambda group: -len(group) * group[0].work):
            candidates = dict.fromkeys(name for op in group[0].ops for name in legal[op])
            self._improve(flow, group, list(candidates), legal, deadline)
        return self.names

    def _improve(
        self, flow: Dataflow, group: list[Unit], candidates: list[str], legal: list[tuple[str, ...]], deadline: float
    ) -> None:
        """Take the best form for units that are alike."""
        unit = group[0]
        piece, origin = cut_out(flow, unit.around)
        best, best_ms = None, float("inf")
        others = [name for name in candidates if self._names(unit, name, legal) != self.names]
        for name in (None, *others):  # first as it is
            if self._spent() >= self.budget.kernels or time.monotonic() >= deadline:
                return
            milliseconds = self._measure(piece, [self._names(unit, name, legal)[op] for op in origin], best_ms)
            if milliseconds < _GAIN * best_ms:
                best, best_ms = name, milliseconds
        self.forms[unit.key] = best or self.names[unit.ops[0]]
        if best is not None:
            for other in group:
                self.names = self._names(other, best, legal)

    def _spent(self) -> int:
        """Kernels asked so far, predictions left out."""
        return len(self.times) - sum(map(self.oracle.is_guess, self.times))

    def _names(self, unit: Unit, name: str | None, legal: list[tuple[str, ...]]) -> list[str]:
        """All forms with those of one unit replaced, where its ops can take the new one."""
        names = list(self.names)
        for op in unit.ops if name is not None else ():
            assert name is not None
            names[op] = name if name in legal[op] else DEFAULT
        return names

    def _measure(self, piece: tvm.IRModule, names: list[str], best_ms: float) -> float:
        """Milliseconds of a piece's kernels as TVM fuses them; ``inf`` if they do not fit or are slow."""
        try:
            model = Model.with_variants(piece, names, self.target)
        except (PlanError, UnsupportedModelError) as error:
            _LOGGER.info("forms %s drop out: %s", sorted(set(names)), error)
            return float("inf")
        problem = problem_of(
            model, self.oracle, self.rules, self.budget, on_progress=self.on_progress, known=self.times
        )
        if problem.expected(model.default) > _HOPELESS * best_ms:
            return float("inf")
        return problem.cost_default()
