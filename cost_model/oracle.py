"""The oracle: milliseconds of kernels, from the log where they stand there, else measured and logged at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import tvm
from tvm import relay

from cost_model.kernel_result import KernelResult
from cost_model.kernel_task import KernelTask
from cost_model.measure import Measurer
from cost_model.predictor import Guess, Predictor
from cost_model.provenance import versions
from cost_model.structure import Structure, structure
from relay_passes.apply import kernel_function
from relay_passes.dataflow import Dataflow
from tuning_logs import KernelRecord, TuningLog
from tvm_go.graph import OpGraph
from tvm_go.kernels import Kernel
from tvm_go.legalize import te_takes
from tvm_go.lowering import TE, TIR, Lowering

Guessed = tuple[Structure, list[Lowering]]
"""What a guess is made of: a kernel, and the lowerings that it can take."""


@dataclass
class KernelOracle:
    """Answers how long kernels take on this target, each by the best of its lowerings.

    A kernel whose numbers are wrong, that crashes or that runs past its timeout in some lowering is never chosen in it.

    Parameters
    ----------
    target : str
        Canonical target text, under which records are kept.
    measurer : Measurer
    log : TuningLog
    on_result : callable
        Called with each record as it comes, and whether it came from the log.
    tuned : mapping of str to sequence of Lowering
        Lowerings by kernel key that were tuned elsewhere for such a target, to be tried too.
    try_tir : bool
        Whether kernels are tried in the generic TIR schedule, beside TE.
    model : str
        Name of the model that is tuned, for the log.
    predictor : Predictor, optional
        Answers for what the log does not hold, until that is confirmed; then only lowerings that it predicts to be near
        the best are measured.

    Attributes
    ----------
    hits, measured : int
        Records that came from the log, and by measuring.
    answers : dict
        What was answered: by kernel key, then by lowering.
    guesses : dict
        What was predicted of kernels that were not measured, by kernel key.
    """

    target: str
    measurer: Measurer
    log: TuningLog
    on_result: Callable[[KernelRecord, bool], None] = lambda record, from_log: None
    tuned: Mapping[str, Sequence[Lowering]] = field(default_factory=dict)
    try_tir: bool = True
    model: str = ""
    predictor: Predictor | None = None
    hits: int = 0
    measured: int = 0
    answers: dict[str, dict[Lowering, KernelRecord]] = field(default_factory=dict)
    guesses: dict[str, Guess] = field(default_factory=dict)
    _logged: set[tuple[str, str]] = field(default_factory=set)  # key and lowering of answers that came from the log
    _guessed: dict[str, Guessed] = field(default_factory=dict)  # what is behind the guesses

    def ask(self, flow: Dataflow, graph: OpGraph, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        """Milliseconds of each kernel, measured or predicted; ``inf`` for one that fails (its records say why).

        Raises
        ------
        MeasureError
            The server is lost for good.
        LogError
            The log cannot be written; what was written before stays.
        """
        if self.predictor is not None:
            self._predict(self.predictor, graph, requests)
        self.confirm(flow, graph, [(key, kernel) for key, kernel in requests if not self.is_guess(key)])
        return [self.guesses[key].ms if self.is_guess(key) else self.best_ms(key) for key, _ in requests]

    def confirm(self, flow: Dataflow, graph: OpGraph, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        """As :meth:`ask`, without predictions."""
        lowerings = [self._lowerings(graph, key, kernel) for key, kernel in requests]
        pairs = zip(requests, lowerings, strict=True)
        self.measure(flow, graph, [(key, kernel, self._worth(key, can_take)) for (key, kernel), can_take in pairs])
        return [self.best_ms(key) for key, _ in requests]

    def is_guess(self, key: str) -> bool:
        """Whether a kernel was predicted and not measured."""
        return key in self.guesses and key not in self.answers

    def guessed_ms(self, key: str) -> tuple[float, float] | None:
        """Milliseconds of a kernel that was only predicted: as expected now, and at the least that is likely."""
        return (self.guesses[key].ms, self.guesses[key].least_ms) if self.is_guess(key) else None

    def measure(
        self, flow: Dataflow, graph: OpGraph, requests: Sequence[tuple[str, Kernel, Sequence[Lowering]]]
    ) -> None:
        """Learn the times of kernels in given lowerings: from the log, else by measuring."""
        missing: dict[str, tuple[str, Kernel, Lowering]] = {}
        tasks = []
        for key, kernel, lowerings in requests:
            self._recall(key)
            function = ""
            for lowering in lowerings:
                if lowering not in self.answers.get(key, {}):
                    function = function or function_json(flow, graph, kernel)
                    task = KernelTask(task_key(key, lowering), function, len(kernel.ops), lowering)
                    if task.key not in missing:
                        missing[task.key] = (key, kernel, lowering)
                        tasks.append(task)
        predictor, refitted = self.predictor, False
        for result in self.measurer.measure(tasks):
            key, kernel, lowering = missing[result.key]
            record = self._record(result, key, lowering, graph, kernel)
            self.log.append(record)
            self.measured += 1
            self._take(record, from_log=False)
            if predictor is not None:
                refitted |= predictor.learn(record)
        if predictor is not None and refitted:
            self._guess(predictor, {key: self._guessed[key] for key in self.guesses if self.is_guess(key)})

    def best(self, key: str, *, tuned: bool = True) -> KernelRecord:
        """The fastest usable answer for a kernel, if asked without tuned lowerings; any failure if none is usable."""
        answers = [record for lowering, record in self.answers[key].items() if tuned or not lowering.is_tuned]
        return min(answers, key=lambda record: (not record.succeeded, record.median_ms))

    def best_ms(self, key: str) -> float:
        """Milliseconds by the best lowering; ``inf`` if all fail."""
        record = self.best(key)
        return record.median_ms if record.succeeded else float("inf")

    def best_lowering(self, key: str, *, tuned: bool = True) -> Lowering:
        """By what the fastest usable answer was made."""
        return Lowering.from_text(self.best(key, tuned=tuned).lowering)

    def knows(self, key: str) -> bool:
        """Whether anything was answered for a kernel."""
        return key in self.answers

    def source(self, key: str) -> str:
        """Where a kernel's time comes from: ``log``, ``measured`` (in this run) or ``predicted``."""
        if self.is_guess(key):
            return "predicted"
        return "log" if (key, self.best(key).lowering) in self._logged else "measured"

    def te_ms(self, key: str) -> float:
        """Milliseconds by TVM's own schedule; ``inf`` if it fails or was not asked for."""
        record = self.answers[key].get(TE)
        return record.median_ms if record is not None and record.succeeded else float("inf")

    def failures(self) -> list[KernelRecord]:
        """Answers that cannot be used."""
        return [record for answers in self.answers.values() for record in answers.values() if not record.succeeded]

    def _lowerings(self, graph: OpGraph, key: str, kernel: Kernel) -> list[Lowering]:
        """What to try: TE where it takes the kernel at all, TIR, and what was tuned for it."""
        found = [TE] if te_takes(graph, kernel.ops) else []
        if self.try_tir:
            found += [TIR, *self.tuned.get(key, ())]
        return found or [TE]

    def _predict(self, predictor: Predictor, graph: OpGraph, requests: Sequence[tuple[str, Kernel]]) -> None:
        """Guess kernels of which neither this run nor the log knows anything."""
        for key, _ in requests:
            self._recall(key)
        self._guess(
            predictor,
            {
                key: (structure(graph, kernel), self._lowerings(graph, key, kernel))
                for key, kernel in requests
                if key not in self.answers and key not in self.guesses
            },
        )

    def _guess(self, predictor: Predictor, kernels: Mapping[str, Guessed]) -> None:
        """Predict kernels, some of them anew."""
        if kernels:
            guesses = predictor.guess(*zip(*kernels.values(), strict=True))
            self.guesses.update((key, one) for key, one in zip(kernels, guesses, strict=True) if one is not None)
            self._guessed.update(kernels)

    def _worth(self, key: str, lowerings: list[Lowering]) -> list[Lowering]:
        """Those of a kernel's lowerings that may be the best."""
        return list(self.guesses[key].worth) if key in self.guesses else lowerings

    def _recall(self, key: str) -> None:
        """Take what the log says of a kernel."""
        for text, record in self.log.kernels(key, self.target, device_kind=self.measurer.served().kind).items():
            if Lowering.from_text(text) not in self.answers.get(key, {}):
                self.hits += 1
                self._take(record, from_log=True)

    def _take(self, record: KernelRecord, *, from_log: bool) -> None:
        self.answers.setdefault(record.key, {})[Lowering.from_text(record.lowering)] = record
        if from_log:
            self._logged.add((record.key, record.lowering))
        self.on_result(record, from_log)

    def _record(
        self, result: KernelResult, key: str, lowering: Lowering, graph: OpGraph, kernel: Kernel
    ) -> KernelRecord:
        served = self.measurer.served()
        return KernelRecord(
            key=key,
            target=self.target,
            device_kind=served.kind,
            host_cpu=served.model,
            versions=versions(),
            median_ms=result.median_ms,
            times_ms=result.times_ms,
            numerics=result.numerics,
            max_error=result.max_error,
            error_kind=result.error_kind.value if result.error_kind else None,
            error_msg=result.error_msg,
            build_s=result.build_s,
            run_s=result.run_s,
            ops="+".join(graph.name(op) for op in kernel.ops),
            workload=graph.structural_hash,
            lowering=lowering.to_text(),
            model=self.model,
            structure=structure(graph, kernel),
        )


def task_key(key: str, lowering: Lowering) -> str:
    """Name of the task of measuring a kernel in a lowering; the kernel's own key for ``te``."""
    if lowering == TE:
        return key
    return hashlib.sha256(f"{key} {lowering.to_text()}".encode()).hexdigest()[:32]


def function_json(flow: Dataflow, graph: OpGraph, kernel: Kernel) -> str:
    """The primitive function of a kernel, type-inferred, as `KernelTask.relay_json`."""
    function = kernel_function(flow, graph, kernel)
    return str(tvm.ir.save_json(relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]))
