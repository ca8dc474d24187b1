"""Tune the kernels of a plan: rounds of candidates for those that promise most, measured through the oracle."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import tvm

from cost_model.kernel_tuning.allocation import Arm, KernelState, choose
from cost_model.kernel_tuning.roofline import Roofline
from cost_model.kernel_tuning.search_worker import Request
from cost_model.kernel_tuning.searchers import Searchers
from cost_model.kernel_tuning.tunable import Progress, TunableKernel, TuningConfig
from cost_model.oracle import KernelOracle, function_json
from tuning_logs import KernelRecord
from tvm_go.lowering import TE, TIR, Lowering

_KINDS = ("tir", "metaschedule")
_LEAST_MS = 1e-6
_NEVER = float("inf")


def tune_kernels(
    kernels: Sequence[TunableKernel],
    oracle: KernelOracle,
    *,
    trials: int,
    seed: int,
    target: tvm.target.Target,
    seconds: float = float("inf"),
    on_progress: Callable[[Progress], None] = lambda progress: None,
    config: TuningConfig | None = None,
) -> int:
    """Spend trials on kernels; the oracle's log and answers then hold what was found.

    A trial is one kernel in one lowering, be it measured or found in the log. What the log has of a kernel is tried
    first and in its order, so that a run that was stopped takes the same steps again and goes on. Kernels that the
    oracle cannot measure by any lowering yet are left alone.

    Parameters
    ----------
    kernels : sequence of TunableKernel
        With distinct keys.
    trials : int
        The most to spend.
    seconds : float
        Time limit; no round begins after it.
    on_progress : callable
        Told after every round.

    Returns
    -------
    int
        Trials spent.

    Raises
    ------
    MeasureError
        There is no usable server; nothing is spent then. Or it was lost for good.
    LogError
        The log cannot be written.
    """
    if trials <= 0 or not kernels:
        return 0
    config = config or TuningConfig()
    oracle.measurer.check()
    oracle.log.ensure_writable()
    deadline = time.monotonic() + seconds
    for group in _by_model(kernels):
        oracle.ask(group[0].flow, group[0].graph, [(kernel.key, kernel.kernel) for kernel in group])
    run = _Run.begin(kernels, oracle, target, seed, config)
    with Searchers(config) as searchers:
        while run.spent < trials and time.monotonic() < deadline and run.round(searchers, trials):
            on_progress(run.progress(trials))
    return run.spent


@dataclass
class _Run:
    """What one call of `tune_kernels` knows. It counts only what it asked for, not all that the log has."""

    kernels: Sequence[TunableKernel]
    oracle: KernelOracle
    target_json: str
    seed: int
    config: TuningConfig
    states: list[KernelState]
    arms: list[Arm]
    before_ms: float
    functions: dict[str, str] = field(default_factory=dict)  # relay_json by key
    spent: int = 0

    @staticmethod
    def begin(
        kernels: Sequence[TunableKernel],
        oracle: KernelOracle,
        target: tvm.target.Target,
        seed: int,
        config: TuningConfig,
    ) -> _Run:
        first = [_first_ms(oracle, kernel.key) for kernel in kernels]
        usable = [number for number, milliseconds in enumerate(first) if milliseconds < _NEVER]
        kernels = [kernels[number] for number in usable]
        times = [max(first[number], _LEAST_MS) for number in usable]
        seen = ((kernel.flops, kernel.bytes, ms) for kernel, ms in zip(kernels, times, strict=True))
        roofline = Roofline.of(target, seen)
        states = [
            KernelState(kernel.count, roofline.bound_ms(kernel.flops, kernel.bytes), milliseconds)
            for kernel, milliseconds in zip(kernels, times, strict=True)
        ]
        arms = [_arm(oracle, kernel.key, n, kind, config) for n, kernel in enumerate(kernels) for kind in _KINDS]
        before = sum(state.count * state.best_ms for state in states)
        return _Run(kernels, oracle, tvm.ir.save_json(target), seed, config, states, arms, before)

    def progress(self, trials: int) -> Progress:
        now = sum(state.count * state.best_ms for state in self.states)
        return Progress(self.spent, trials, self.before_ms, now)

    def round(self, searchers: Searchers, trials: int) -> bool:
        """Generate and measure one round; whether there was anything to try."""
        chosen = choose(self.arms, self.states, self.config.kernels_per_round)
        asking = [arm for arm in chosen if len(arm.logged) < arm.batch]
        found = searchers.propose([(arm.kernel, self._request(arm)) for arm in asking])
        details = {id(arm): texts for arm, texts in zip(asking, found, strict=True)}
        batches: list[tuple[Arm, list[Lowering]]] = []
        left = trials - self.spent
        for arm in chosen:
            new = [Lowering(arm.kind, text) for text in details.get(id(arm), ())]
            seen = {lowering for lowering, _ in (*arm.known, *arm.history)}
            lowerings = [one for one in dict.fromkeys([*arm.logged, *new]) if one not in seen][: arm.batch]
            arm.logged = arm.logged[arm.batch :]
            arm.exhausted = not lowerings
            batches.append((arm, lowerings[:left]))
            left -= len(batches[-1][1])
        self._measure([(arm, lowerings) for arm, lowerings in batches if lowerings])
        return bool(chosen)

    def _measure(self, batches: list[tuple[Arm, list[Lowering]]]) -> None:
        by_graph: dict[int, list[tuple[TunableKernel, list[Lowering]]]] = {}
        for arm, lowerings in batches:
            kernel = self.kernels[arm.kernel]
            by_graph.setdefault(id(kernel.graph), []).append((kernel, lowerings))
        for requests in by_graph.values():
            model = requests[0][0]
            wanted = [(kernel.key, kernel.kernel, lowerings) for kernel, lowerings in requests]
            self.oracle.measure(model.flow, model.graph, wanted)
        for arm, lowerings in batches:
            self._account(arm, lowerings)

    def _account(self, arm: Arm, lowerings: list[Lowering]) -> None:
        answers = self.oracle.answers[self.kernels[arm.kernel].key]
        times = [_ms(answers[one]) for one in lowerings]
        state = self.states[arm.kernel]
        arm.history += zip(lowerings, times, strict=True)
        best = max(min(state.best_ms, *times), _LEAST_MS)
        arm.gains_ms.append(state.best_ms - best)
        state.best_ms = best
        self.spent += len(lowerings)

    def _request(self, arm: Arm) -> Request:
        kernel = self.kernels[arm.kernel]
        if kernel.key not in self.functions:
            self.functions[kernel.key] = function_json(kernel.flow, kernel.graph, kernel.kernel)
        history = tuple((one.detail, milliseconds) for one, milliseconds in (*arm.known, *arm.history))
        return Request(
            kernel.key, arm.kind, self.functions[kernel.key], self.target_json, self.seed, self.config, history
        )


def _arm(oracle: KernelOracle, key: str, number: int, kind: str, config: TuningConfig) -> Arm:
    answers = oracle.answers[key]
    mine = [one for one in answers if one.kind == kind and one.is_tuned]
    elsewhere = set(oracle.tuned.get(key, ()))
    known = tuple((one, _ms(answers[one])) for one in mine if one in elsewhere)
    return Arm(number, kind, config.batch(kind), known, [one for one in mine if one not in elsewhere])


def _first_ms(oracle: KernelOracle, key: str) -> float:
    """Milliseconds before tuning, whatever the log knows beyond that."""
    answers = oracle.answers[key]
    return min((_ms(answers[one]) for one in (TE, TIR, *oracle.tuned.get(key, ())) if one in answers), default=_NEVER)


def _ms(record: KernelRecord) -> float:
    return record.median_ms if record.succeeded else _NEVER


def _by_model(kernels: Sequence[TunableKernel]) -> list[list[TunableKernel]]:
    groups: dict[int, list[TunableKernel]] = {}
    for kernel in kernels:
        groups.setdefault(id(kernel.graph), []).append(kernel)
    return list(groups.values())
