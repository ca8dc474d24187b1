"""What kernels are expected to take, by logs and a cost model: an oracle that measures nothing."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tvm

from cost_model.kernel_tuning import isa_of
from cost_model.predictor import Predictor
from cost_model.pretrained import SHIPPED, cost_model_of
from cost_model.provenance import host_cpu
from cost_model.structure import structure
from relay_passes.targets import takes_tir
from tuning_logs import KernelRecord
from tuning_logs.files import kernels_of
from tvm_go.errors import UsageError
from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import Kernel
from tvm_go.legalize import te_takes
from tvm_go.lowering import TE, TIR, Lowering
from tvm_go.rules import Rules
from tvm_go.search import Budget, Problem


@dataclass(frozen=True)
class ExpectedTimes:
    """What is known of the kernels of one target.

    What a kernel takes was measured once, on a machine that may have had a slow minute, and is predicted by a model
    that has seen thousands: the geometric mean of both is what is expected. A kernel that was never measured is
    predicted, with caution. So no plan looks good because one of TVM's own kernels was measured in a slow minute.

    Attributes
    ----------
    logged : mapping of str to float
        Milliseconds by key: of each lowering the median of the logs, of those the least.
    lowerings : sequence of Lowering
        What a kernel of the target can be made by without any tuning.
    known : dict of str to float
        What was expected so far, by key.
    """

    logged: Mapping[str, float]
    predictor: Predictor
    lowerings: Sequence[Lowering] = (TE, TIR)
    known: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def read(
        target: tvm.target.Target, logs: Iterable[str | Path] = (), cost_model: str | Path = SHIPPED
    ) -> ExpectedTimes:
        """From logs of a target, which may hold the probes that describe its device, and a cost model.

        Raises
        ------
        UsageError
            If no cost model ships for the target, or a log holds no kernel of it.
        LogError
            If a file cannot be used.
        """
        text = str(target)
        model = cost_model_of(cost_model, isa=isa_of(target), target=text)
        each = []
        for path in logs:
            records = kernels_of(path)
            each.append([one for one in records if one.target == text])
            if not each[-1]:
                others = ", ".join(f"'{name}'" for name in sorted({one.target for one in records})) or "none"
                raise UsageError(f"{path} holds no kernel of '{text}' (targets in it: {others}); leave it out")
        cpu = each[0][0].host_cpu if each else host_cpu()
        lowerings = (TE, TIR) if takes_tir(target) else (TE,)
        probes = [one for records in reversed(each) for one in records]  # those of the first log count
        return ExpectedTimes(medians(each), Predictor(model, text, cpu, probes), lowerings)

    def problem(self, graph: OpGraph, default: Int32, rules: Rules, budget: Budget | None = None) -> Problem:
        """A search problem whose default is known; without a budget it asks as often as it likes.

        Under a budget those kernels count that a search by predictions would measure, as they may be part of the best
        plan; what is expected of them stays the same.
        """
        uncounted: dict[str, float] = {}  # what a search would not have measured so far

        def oracle(requests: Sequence[tuple[str, Kernel]]) -> list[float]:
            found = self.expect(graph, requests)
            if budget is not None:
                uncounted.update((key, ms) for (key, _), ms in zip(requests, found, strict=True))
            return found

        problem = Problem(
            graph,
            default,
            rules,
            oracle,
            budget or Budget(kernels=sys.maxsize),
            known=self.known if budget is None else {},
            confirm=lambda requests: [uncounted.pop(key) for key, _ in requests],
            guessed=lambda key: (uncounted[key], uncounted[key]) if key in uncounted else None,
            predicts=lambda: True,
        )
        problem.cost_default()
        return problem

    def expect(self, graph: OpGraph, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        """Milliseconds of kernels of a graph, by key; ``inf`` for those that are likely to fail."""
        structures = [structure(graph, kernel) for _, kernel in requests]
        can_take = [
            [one for one in self.lowerings if one != TE or te_takes(graph, kernel.ops)] for _, kernel in requests
        ]
        result = []
        for (key, _), guess in zip(requests, self.predictor.guess(structures, can_take), strict=True):
            logged = self.logged.get(key)
            if guess is None or guess.ms == math.inf:
                result.append(math.inf if logged is None else logged)
            elif logged is None:
                result.append(guess.sum_ms)
            else:
                result.append(math.sqrt(logged * guess.ms))
        return result


def medians(each: Sequence[Sequence[KernelRecord]]) -> dict[str, float]:
    """Milliseconds of each kernel by some logs: of each lowering the lower median, of those the least."""
    found: dict[tuple[str, str], set[float]] = {}
    for records in each:
        for one in records:
            if Lowering.from_text(one.lowering) in (TE, TIR):
                ms = one.median_ms if one.succeeded else math.inf
                found.setdefault((one.key, one.lowering), set()).add(ms)
    result: dict[str, float] = {}
    for (key, _), values in found.items():
        ordered = sorted(values)
        result[key] = min(result.get(key, math.inf), ordered[(len(ordered) - 1) // 2])
    return result
