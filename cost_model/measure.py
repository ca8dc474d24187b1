"""Builds and measures kernels: from a list of tasks to times, verdicts on their numbers, or reasons.

No kernel can raise, hang or crash the caller: whatever TVM might do to a process happens in children with limits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import tvm

from cost_model.build_worker import BuiltKernel
from cost_model.builder import KernelBuilder
from cost_model.config import MeasureConfig, RpcConfig
from cost_model.kernel_result import ErrorKind, KernelResult
from cost_model.kernel_task import KernelTask
from cost_model.rpc import RpcConnection
from cost_model.runner import KernelRunner
from cost_model.served_device import ServedDevice, served_device
from cost_model.work_dir import make_work_dir
from relay_passes.back_ends import check_back_end
from relay_passes.export import cross_compiler_of
from relay_passes.targets import as_target

__all__ = ["ErrorKind", "KernelResult", "KernelTask", "MeasureConfig", "Measurer", "RpcConfig"]


_EMULATION = 10.0  # so many times longer may a kernel take on an emulated server


class Measurer:
    """Builds kernels in worker processes and measures them over RPC. A context manager.

    Entering makes sure that a server is there, `close` (at exit) ends all processes that were started; they end also
    when this process is killed.

    Parameters
    ----------
    target : str or tvm.target.Target
        The TVM target of the kernels; "native" is this machine's CPU. That of another device has the CPU's as its host.
    config : MeasureConfig
        How to build and time.
    rpc : RpcConfig or None
        An existing tracker; None starts our own tracker and server on loopback.
    connection : RpcConnection or None
        One that is shared with others, in place of one of its own; it is not closed.

    Attributes
    ----------
    connection : RpcConnection
        The way to the servers, for running a whole library on them. It is free whenever `measure` is not running.
    build_seconds, run_seconds : float
        Wall-clock time spent so far on building and on measuring.

    Raises
    ------
    tvm_go.errors.UsageError
        TVM does not know the target, was built without its back end, or its cross compiler is missing.
    """

    def __init__(
        self,
        *,
        target: str | tvm.target.Target,
        config: MeasureConfig | None = None,
        rpc: RpcConfig | None = None,
        connection: RpcConnection | None = None,
    ) -> None:
        parsed = as_target(target)
        check_back_end(parsed)
        cross_compiler_of(parsed)  # missing, it would fail every kernel
        self._target = parsed
        self._target_json = tvm.ir.save_json(parsed)
        self._device_kind = tvm.runtime.Device.MASK2STR[parsed.get_target_device_type()]
        self._config = config or MeasureConfig()
        self._own_connection = connection is None
        self.connection = RpcConnection(rpc, devices=(self._device_kind,)) if connection is None else connection
        self.build_seconds = 0.0
        self.run_seconds = 0.0
        self._work_dir: Path | None = None
        self._builder: KernelBuilder | None = None
        self._runner: KernelRunner | None = None
        self._served: ServedDevice | None = None

    def __enter__(self) -> Measurer:
        try:
            self.check()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Make sure that a server is free and has the device, or fail with one clear line.

        Raises
        ------
        tvm_go.errors.MeasureError
            The tracker does not answer, has no server with the key, or all of them stay busy; or the server has no such
            device, or is of another architecture than the target.
        """
        self.connection.check()
        self.served()

    def device_kind(self) -> str:
        """TVM's name of the device that the kernels run on, for instance "cpu"."""
        return self._device_kind

    def served(self) -> ServedDevice:
        """Which device the kernels run on, as records name it; the server is asked once.

        Raises
        ------
        tvm_go.errors.MeasureError
            As :meth:`check`.
        """
        if self._served is None:
            self._served = served_device(self.connection, self._target)
        return self._served

    def start(self) -> None:
        """Start what is not running yet; `measure` does so by itself."""
        self.served()
        if self._work_dir is None:
            self._work_dir = make_work_dir()
        if self._builder is None:
            self._builder = KernelBuilder(target_json=self._target_json, config=self._config, work_dir=self._work_dir)
            self._builder.start()
        if self._runner is None:
            self._runner = KernelRunner(
                connection=self.connection,
                config=self._run_config(),
                device_kind=self._device_kind,
                target_json=self._target_json,
                work_dir=self._work_dir,
            )
            self._runner.start()

    def measure(self, tasks: Sequence[KernelTask]) -> Iterator[KernelResult]:
        """Build and measure kernels.

        Parameters
        ----------
        tasks : sequence of KernelTask
            The kernels; one whose key occurred before in the sequence is skipped.

        Yields
        ------
        KernelResult
            One per key, in order, each as soon as that kernel has been measured.

        Raises
        ------
        tvm_go.errors.MeasureError
            The server was lost for good; the results until then have been yielded.
        """
        self.start()
        assert self._builder is not None
        assert self._runner is not None
        unique = list({task.key: task for task in tasks}.values())
        round_size = self._config.workers * self._config.batch_size * self._config.batches_per_worker
        for i in range(0, len(unique), round_size):
            start = time.perf_counter()
            outcomes = self._builder.build(unique[i : i + round_size])
            self.build_seconds += time.perf_counter() - start
            with contextlib.closing(self._measure_round(self._runner, outcomes)) as results:
                yield from results

    def close(self) -> None:
        """End all processes that were started and remove their files."""
        if self._builder is not None:
            self._builder.close()
            self._builder = None
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        if self._own_connection:
            self.connection.close()
        if self._work_dir is not None:
            shutil.rmtree(self._work_dir, ignore_errors=True)
            self._work_dir = None

    def _run_config(self) -> MeasureConfig:
        if not self.served().is_emulated:
            return self._config
        return dataclasses.replace(self._config, run_timeout_s=_EMULATION * self._config.run_timeout_s)

    def _measure_round(
        self, runner: KernelRunner, outcomes: list[BuiltKernel | KernelResult]
    ) -> Generator[KernelResult, None, None]:
        kernels = [outcome for outcome in outcomes if isinstance(outcome, BuiltKernel)]
        try:
            with contextlib.closing(runner.run(kernels)) as measured:
                for outcome in outcomes:
                    if isinstance(outcome, KernelResult):
                        yield outcome
                        continue
                    start = time.perf_counter()
                    result = next(measured)
                    self.run_seconds += time.perf_counter() - start
                    yield result
        finally:
            _remove_files(kernels)


def _remove_files(kernels: Sequence[BuiltKernel]) -> None:
    """Remove what only this round needed."""
    for kernel in kernels:
        Path(kernel.library_path).unlink(missing_ok=True)
        if kernel.expected_path is not None:
            Path(kernel.expected_path).unlink(missing_ok=True)
