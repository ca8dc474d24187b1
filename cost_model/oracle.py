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
from cost_model.provenance import host_cpu, versions
from relay_passes.apply import kernel_function
from relay_passes.dataflow import Dataflow
from tuning_logs import KernelRecord, TuningLog
from tvm_go.graph import OpGraph
from tvm_go.kernels import Kernel
from tvm_go.legalize import te_takes
from tvm_go.lowering import TE, TIR, Lowering


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

    Attributes
    ----------
    hits, measured : int
        Records that came from the log, and by measuring.
    answers : dict
        What was answered: by kernel key, then by lowering.
    """

    target: str
    measurer: Measurer
    log: TuningLog
    on_result: Callable[[KernelRecord, bool], None] = lambda record, from_log: None
    tuned: Mapping[str, Sequence[Lowering]] = field(default_factory=dict)
    try_tir: bool = True
    hits: int = 0
    measured: int = 0
    answers: dict[str, dict[Lowering, KernelRecord]] = field(default_factory=dict)

    def on(self, flow: Dataflow, graph: OpGraph) -> Callable[[Sequence[tuple[str, Kernel]]], list[float]]:
        """The oracle of one prepared model, as a search asks it."""
        return lambda requests: self.ask(flow, graph, requests)

    def ask(self, flow: Dataflow, graph: OpGraph, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        """Milliseconds of each kernel; ``inf`` for one that fails, with the reason in its records.

        Raises
        ------
        MeasureError
            The server is lost for good.
        LogError
            The log cannot be written; what was written before stays.
        """
        self.measure(flow, graph, [(key, kernel, self._lowerings(graph, key, kernel)) for key, kernel in requests])
        return [self.best_ms(key) for key, _ in requests]

    def measure(
        self, flow: Dataflow, graph: OpGraph, requests: Sequence[tuple[str, Kernel, Sequence[Lowering]]]
    ) -> None:
        """Learn the times of kernels in given lowerings: from the log, else by measuring."""
        device_kind = self.measurer.device_kind()
        missing: dict[str, tuple[str, Kernel, Lowering]] = {}
        tasks = []
        for key, kernel, lowerings in requests:
            known = self.log.kernels(key, self.target, device_kind=device_kind)
            function = ""
            for record in known.values():
                if Lowering.from_text(record.lowering) not in self.answers.get(key, {}):
                    self.hits += 1
                    self._take(record, from_log=True)
            for lowering in lowerings:
                if lowering not in self.answers.get(key, {}):
                    function = function or function_json(flow, graph, kernel)
                    task = KernelTask(task_key(key, lowering), function, len(kernel.ops), lowering)
                    if task.key not in missing:
                        missing[task.key] = (key, kernel, lowering)
                        tasks.append(task)
        for result in self.measurer.measure(tasks):
            key, kernel, lowering = missing[result.key]
            record = self._record(result, key, lowering, graph, kernel)
            self.log.append(record)
            self.measured += 1
            self._take(record, from_log=False)

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

    def _take(self, record: KernelRecord, *, from_log: bool) -> None:
        self.answers.setdefault(record.key, {})[Lowering.from_text(record.lowering)] = record
        self.on_result(record, from_log)

    def _record(
        self, result: KernelResult, key: str, lowering: Lowering, graph: OpGraph, kernel: Kernel
    ) -> KernelRecord:
        return KernelRecord(
            key=key,
            target=self.target,
            device_kind=self.measurer.device_kind(),
            host_cpu=host_cpu(),
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
