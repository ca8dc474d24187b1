"""The processes that generate candidates: one that dies or hangs costs its kernel's search, nothing else."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from cost_model.child import ChildFailure, ChildProcess
from cost_model.kernel_tuning import search_worker
from cost_model.kernel_tuning.search_worker import Request
from cost_model.kernel_tuning.tunable import TuningConfig
from cost_model.work_dir import make_work_dir


class Searchers:
    """A fixed number of searchers; a context manager. Each kernel belongs to one of them, which learns about it."""

    def __init__(self, config: TuningConfig) -> None:
        self._config = config
        self._work_dir = make_work_dir()
        self._children = [
            ChildProcess(name=f"search-{i}", work_dir=self._work_dir, memory_mb=config.memory_mb, num_threads=1)
            for i in range(config.searchers)
        ]
        self._threads = ThreadPoolExecutor(max_workers=config.searchers, thread_name_prefix="search")

    def __enter__(self) -> Searchers:
        for child in self._children:
            child.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.close()
        self._threads.shutdown()
        shutil.rmtree(self._work_dir, ignore_errors=True)

    def propose(self, requests: Sequence[tuple[int, Request]]) -> list[list[str]]:
        """Candidates for each request, which comes with its kernel's number; none where the search failed."""
        shares: list[list[int]] = [[] for _ in self._children]
        for position, (number, _) in enumerate(requests):
            shares[number % len(shares)].append(position)

        def answer(child: int) -> dict[int, list[str]]:
            return {position: self._ask(self._children[child], requests[position][1]) for position in shares[child]}

        answers: dict[int, list[str]] = {}
        for part in self._threads.map(answer, range(len(shares))):
            answers |= part
        return [answers[position] for position in range(len(requests))]

    def _ask(self, child: ChildProcess, request: Request) -> list[str]:
        with contextlib.suppress(
            ChildFailure, Exception
        ):  # whatever TVM does to it, this kernel has no more candidates
            return child.call(search_worker.propose, request, timeout_s=self._config.timeout_s)
        return []
