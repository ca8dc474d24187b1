"""Builds kernels in worker processes and finds out which kernel is to blame when a worker dies."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cost_model import build_worker
from cost_model.build_worker import BuildError, BuiltKernel
from cost_model.child import ChildFailure, ChildProcess
from cost_model.config import MeasureConfig
from cost_model.kernel_result import ErrorKind, KernelResult, failed_result
from cost_model.kernel_task import KernelTask
from cost_model.stage_file import StageFile

_KINDS = {
    "timeout": ErrorKind.BUILD_TIMEOUT,
    "crash": ErrorKind.BUILD_CRASH,
    "memory": ErrorKind.BUILD_MEMORY,
}


class KernelBuilder:
    """A pool of build workers.

    Parameters
    ----------
    target_json : str
        `tvm.ir.save_json` of the target; its text would lose the host.
    config : MeasureConfig
        Limits, workers and batch size.
    work_dir : pathlib.Path
        Where libraries and reference outputs go.
    """

    def __init__(self, *, target_json: str, config: MeasureConfig, work_dir: Path) -> None:
        self._target_json = target_json
        self._config = config
        self._work_dir = work_dir
        self._children: list[ChildProcess] = []
        self._idle: queue.SimpleQueue[int] = queue.SimpleQueue()
        for i in range(config.workers):
            child = ChildProcess(name=f"build-{i}", work_dir=work_dir, memory_mb=config.build_memory_mb, num_threads=1)
            self._children.append(child)
            self._idle.put(i)
        self._threads = ThreadPoolExecutor(max_workers=config.workers, thread_name_prefix="build")
        # Whether a worker's process has built nothing yet: only then a lone kernel is surely to blame for its end, and
        # not the memory that earlier kernels left occupied.
        self._fresh = [True] * config.workers
        self._batch_numbers = itertools.count()

    def build(self, tasks: Sequence[KernelTask]) -> list[BuiltKernel | KernelResult]:
        """Build kernels, all workers at once.

        Parameters
        ----------
        tasks : sequence of KernelTask
            Kernels with distinct keys.

        Returns
        -------
        list of BuiltKernel or KernelResult
            One per task, in order; a result says why the kernel could not be built.
        """
        batches = _even_parts(tasks, self._config.workers, self._config.batch_size)
        return [outcome for outcomes in self._threads.map(self._build_batch, batches) for outcome in outcomes]

    def start(self) -> None:
        """Begin to start the workers, so that they are there when they are needed."""
        for child in self._children:
            child.start()

    def close(self) -> None:
        """End all workers."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.close()
        self._threads.shutdown()

    def _build_batch(self, tasks: tuple[KernelTask, ...]) -> list[BuiltKernel | KernelResult]:
        worker = self._idle.get()
        try:
            outcomes: dict[str, BuiltKernel | KernelResult] = {}
            groups = [tasks]
            while groups:
                group = groups.pop()
                stage_file = StageFile(self._work_dir / f"build-{worker}.stage")
                try:
                    built = self._build_group(worker, group, stage_file)
                except ChildFailure as failure:
                    suspects = [task for task in group if task.key == stage_file.current()] or list(group)
                    certain = len(group) == 1 and self._fresh[worker]
                    self._fresh[worker] = True  # the next call gets a new process
                    if len(suspects) == 1 and (certain or failure.kind == "timeout"):
                        outcomes[suspects[0].key] = self._failed(suspects[0].key, failure)
                    groups += _narrowed(group, suspects, outcomes)
                else:
                    self._fresh[worker] = False
                    outcomes |= {outcome.key: _result_or_kernel(outcome) for outcome in built}
            return [outcomes[task.key] for task in tasks]
        finally:
            self._idle.put(worker)

    def _build_group(
        self, worker: int, group: tuple[KernelTask, ...], stage_file: StageFile
    ) -> list[BuiltKernel | BuildError]:
        library_path = self._work_dir / f"batch-{next(self._batch_numbers)}.so"
        child = self._children[worker]
        child.wait_until_ready()
        stage_file.enter("start")
        return child.call(
            build_worker.build_kernels,
            group,
            self._target_json,
            str(library_path),
            stage_file,
            expired=lambda: stage_file.seconds() > self._config.build_timeout_s,
        )

    def _failed(self, key: str, failure: ChildFailure) -> KernelResult:
        message = str(failure)
        if failure.kind == "timeout":
            message = f"building took longer than {self._config.build_timeout_s:g} s"
        elif failure.kind == "memory":
            message += f"; the limit is {self._config.build_memory_mb} MB"
        return failed_result(key=key, error_kind=_KINDS[failure.kind], error_msg=message)


def _even_parts(tasks: Sequence[KernelTask], workers: int, batch_size: int) -> list[tuple[KernelTask, ...]]:
    """Split tasks so that no batch is larger than `batch_size` and all workers finish at about the same time."""
    per_worker = -(-len(tasks) // (workers * batch_size))
    count = min(len(tasks), per_worker * workers)
    return [tuple(tasks[len(tasks) * i // count : len(tasks) * (i + 1) // count]) for i in range(count)]


def _narrowed(
    group: tuple[KernelTask, ...], suspects: list[KernelTask], outcomes: dict[str, BuiltKernel | KernelResult]
) -> list[tuple[KernelTask, ...]]:
    """The groups to build next, the last one first: a suspect alone, or two halves where all are suspects."""
    if len(suspects) > 1:
        middle = len(group) // 2
        return [group[middle:], group[:middle]]
    alone = tuple(task for task in suspects if task.key not in outcomes)
    rest = tuple(task for task in group if task not in suspects)
    return [part for part in (rest, alone) if part]


def _result_or_kernel(outcome: BuiltKernel | BuildError) -> BuiltKernel | KernelResult:
    if isinstance(outcome, BuiltKernel):
        return outcome
    return failed_result(
        key=outcome.key,
        error_kind=ErrorKind.BUILD_ERROR,
        error_msg=outcome.message,
        build_s=outcome.build_s,
    )
