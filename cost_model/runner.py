"""Runs built kernels over RPC, from the parent's side: time limits, lost servers, and whose fault it was."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import tvm

from cost_model import run_worker
from cost_model.build_worker import BuiltKernel
from cost_model.child import ChildFailure, ChildProcess
from cost_model.config import MeasureConfig
from cost_model.kernel_result import ErrorKind, KernelResult, failed_result, timed_result
from cost_model.rpc import RpcConnection
from cost_model.run_worker import RunOutcome
from relay_passes.error_text import meaningful_lines
from tvm_go.errors import MeasureError

_SESSION_S = 20.0
_OPEN_TIMEOUT_S = 30.0
_OPEN_ATTEMPTS = 3
_ATTEMPTS = 2


class KernelRunner:
    """One RPC client in a child process.

    Parameters
    ----------
    connection : RpcConnection
        Where the servers are.
    config : MeasureConfig
        Limits and timing.
    device_kind : str
        TVM's name of the device, for instance "cpu".
    target_json : str
        `tvm.ir.save_json` of the target.
    work_dir : pathlib.Path
        For the child's stderr.
    """

    def __init__(
        self,
        *,
        connection: RpcConnection,
        config: MeasureConfig,
        device_kind: str,
        target_json: str,
        work_dir: Path,
    ) -> None:
        self._connection = connection
        self._config = config
        self._device_kind = device_kind
        self._child = ChildProcess(name="run", work_dir=work_dir)
        self._session_ends = 0.0
        self._held_until = 0.0
        self._target_json = target_json
        self._new_fill_path = str(work_dir / "fill.so")
        self._fill_path: str | None = None
        self._fill_prepared = False

    def run(self, kernels: Sequence[BuiltKernel]) -> Generator[KernelResult, None, None]:
        """Run kernels one after the other; yields each result at once, and gives the server back at the end.

        Raises
        ------
        MeasureError
            There is no server any more.
        """
        try:
            results = (self._run_one(kernel) for kernel in kernels)
            yield from results if self._config.visits == 1 else self._visit_again(kernels, list(results))
        except KeyboardInterrupt:  # the child is gone, the kernel may still be running
            self._give_up_session()
            raise
        finally:
            self._close_session()

    def start(self) -> None:
        """Begin to start the child, so that it is there when it is needed."""
        self._child.start()

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def _visit_again(self, kernels: Sequence[BuiltKernel], results: list[KernelResult]) -> list[KernelResult]:
        """Time the kernels that work in further rounds, and keep the fastest times of each."""
        for _ in range(self._config.visits - 1):
            for index, kernel in enumerate(kernels):
                if results[index].ok:
                    again = self._run_one(replace(kernel, expected_path=None))
                    results[index] = results[index].or_faster(again)
        return results

    def _run_one(self, kernel: BuiltKernel) -> KernelResult:
        start = time.perf_counter()
        for _ in range(_ATTEMPTS):
            self._open_session()
            try:
                outcome = self._child.call(
                    run_worker.run_kernel, kernel, self._config, timeout_s=self._config.run_timeout_s
                )
            except ChildFailure as failure:
                self._give_up_session()
                if failure.kind == "timeout":
                    message = f"running took longer than {self._config.run_timeout_s:g} s"
                    return self._failed(kernel, ErrorKind.RUN_TIMEOUT, message, start)
                outcome = RunOutcome(error=str(failure), server_lost=True)
            if not outcome.server_lost:
                return self._result(kernel, outcome, start)
            self._session_ends = 0.0
        message = f"the RPC session was lost {_ATTEMPTS} times while running it: {outcome.error}"
        return self._failed(kernel, ErrorKind.RUN_CRASH, message, start)

    def _open_session(self) -> None:
        """Make sure of a session that lasts long enough for one more kernel."""
        session_s = _SESSION_S + self._config.run_timeout_s
        if time.monotonic() + self._config.run_timeout_s < self._session_ends:
            return
        self._close_session()
        self._prepare_fill()
        last_failure = ""
        for _ in range(_OPEN_ATTEMPTS):
            self._connection.check(patient=True, extra_s=max(0.0, self._held_until - time.monotonic()))
            try:
                self._child.call(
                    run_worker.open_current,
                    self._connection.address(),
                    self._device_kind,
                    self._fill_path,
                    session_s,
                    timeout_s=_OPEN_TIMEOUT_S,
                )
            except MeasureError as error:  # the server is there, and is of no use
                self._child.kill()
                raise MeasureError(meaningful_lines(str(error)).partition(": ")[2]) from None
            except Exception as error:  # lost between the check and here, or someone was quicker: look again
                last_failure = str(error).strip().rpartition("\n")[2]
                self._child.kill()
                self._connection.abort_session()
                continue
            self._session_ends = time.monotonic() + session_s
            return
        raise MeasureError(
            f"no RPC session could be opened in {_OPEN_ATTEMPTS} attempts ({last_failure}); "
            "see the output of the RPC server"
        )

    def _prepare_fill(self) -> None:
        """Have inputs made on the server, if that works for this target; else they are sent."""
        if self._fill_prepared:
            return
        self._fill_prepared = True
        path = self._new_fill_path
        with contextlib.suppress(ChildFailure, tvm.TVMError, RuntimeError):
            if self._child.call(run_worker.prepare_fill, self._target_json, path, timeout_s=_OPEN_TIMEOUT_S):
                self._fill_path = path

    def _give_up_session(self) -> None:
        """Leave a session whose kernel may run on: ours is ended, another server's holds it until its time is up."""
        if self._connection.is_local:
            self._connection.abort_session()
        else:
            self._held_until = self._session_ends
        self._session_ends = 0.0

    def _close_session(self) -> None:
        if self._session_ends == 0.0:
            return
        self._session_ends = 0.0
        try:
            self._child.call(run_worker.close_current, timeout_s=_OPEN_TIMEOUT_S)
        except ChildFailure:
            self._connection.abort_session()

    def _result(self, kernel: BuiltKernel, outcome: RunOutcome, start: float) -> KernelResult:
        run_s = time.perf_counter() - start
        if not outcome.error:
            return timed_result(
                key=kernel.key,
                times_ms=outcome.times_ms,
                numerics=outcome.numerics,
                max_error=outcome.max_error,
                build_s=kernel.build_s,
                run_s=run_s,
            )
        kind = ErrorKind.WRONG_NUMBERS if outcome.numerics == "wrong" else ErrorKind.RUN_ERROR
        return failed_result(
            key=kernel.key,
            error_kind=kind,
            error_msg=outcome.error,
            numerics=outcome.numerics,
            max_error=outcome.max_error,
            build_s=kernel.build_s,
            run_s=run_s,
        )

    def _failed(self, kernel: BuiltKernel, kind: ErrorKind, message: str, start: float) -> KernelResult:
        return failed_result(
            key=kernel.key,
            error_kind=kind,
            error_msg=message,
            build_s=kernel.build_s,
            run_s=time.perf_counter() - start,
        )
