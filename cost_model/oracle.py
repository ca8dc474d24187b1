"""The oracle: milliseconds of kernels, from the log where they stand there, else measured and logged at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


@dataclass
class KernelOracle:
    """Answers a search how long a kernel of this graph takes on this target.

    Parameters
    ----------
    flow, graph : Dataflow, OpGraph
        The prepared model.
    target : str
        Canonical target text, under which records are kept.
    measurer : Measurer
    log : TuningLog
    on_result : callable
        Called with each record as it comes, and whether it came from the log.

    Attributes
    ----------
    hits, measured : int
        Kernels answered from the log, and by measuring.
    records : dict
        What was answered, by kernel key.
    """

    flow: Dataflow
    graph: OpGraph
    target: str
    measurer: Measurer
    log: TuningLog
    on_result: Callable[[KernelRecord, bool], None] = lambda record, from_log: None
    hits: int = 0
    measured: int = 0
    records: dict[str, KernelRecord] = field(default_factory=dict)

    def __call__(self, requests: Sequence[tuple[str, Kernel]]) -> list[float]:
        """Milliseconds of each kernel; ``inf`` for one that fails, with the reason in its record.

        Raises
        ------
        MeasureError
            The server is lost for good.
        LogError
            The log cannot be written; what was written before stays.
        """
        missing = []
        for key, kernel in requests:
            record = self.log.best_kernel(key, self.target, device_kind=self.measurer.device_kind())
            if record is None:
                missing.append((key, kernel))
            else:
                self.hits += 1
                self._take(record, from_log=True)
        by_key = dict(missing)
        tasks = [kernel_task(self.flow, self.graph, key, kernel) for key, kernel in missing]
        for result in self.measurer.measure(tasks):
            record = self._record(result, by_key[result.key])
            self.log.append(record)
            self.measured += 1
            self._take(record, from_log=False)
        return [self.records[key].median_ms if self.records[key].succeeded else float("inf") for key, _ in requests]

    def _take(self, record: KernelRecord, *, from_log: bool) -> None:
        self.records[record.key] = record
        self.on_result(record, from_log)

    def _record(self, result: KernelResult, kernel: Kernel) -> KernelRecord:
        return KernelRecord(
            key=result.key,
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
            ops="+".join(self.graph.name(op) for op in kernel.ops),
            workload=self.graph.structural_hash,
        )


def kernel_task(flow: Dataflow, graph: OpGraph, key: str, kernel: Kernel) -> KernelTask:
    """A kernel of a model as a task for the builders."""
    function = kernel_function(flow, graph, kernel)
    typed = relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]
    return KernelTask(key=key, relay_json=tvm.ir.save_json(typed), num_ops=len(kernel.ops))
