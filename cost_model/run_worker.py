"""Runs built kernels on a server, checks their numbers and times them; runs inside a child process.

The session stays open between the calls to this process, so that each kernel's result can be reported at once.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import rpc as tvm_rpc

from cost_model.build_worker import BuiltKernel, symbol_of
from cost_model.config import MeasureConfig
from cost_model.kernel_inputs import Array, block_start, random_input, random_inputs, to_device
from cost_model.reference import UnfusedOps
from cost_model.remote_fill import RemoteFill, write_fill_library
from cost_model.rpc import RpcAddress, close_session, load_library, open_session, session_answers
from relay_passes.error_text import meaningful_lines
from relay_passes.numerics import compare
from relay_passes.rounding import SAMPLES, disturbances, within_rounding

_SAMPLING_SHARE = 0.4  # of the time that a kernel may take
_unfused_ops = UnfusedOps()  # kept: the kernels of one model share most of their ops


@dataclass(frozen=True)
class RunOutcome:
    """What happened to one kernel on the server.

    Attributes
    ----------
    times_ms : tuple of float
        One mean time per repeat; empty if it was not timed.
    numerics : str
        As in `KernelResult`.
    max_error : float
        As in `KernelResult`.
    error : str
        Why it failed; empty if it ran.
    server_lost : bool
        Whether the session ended while it ran.
    """

    times_ms: tuple[float, ...] = ()
    numerics: str = "unchecked"
    max_error: float = math.nan
    error: str = ""
    server_lost: bool = False


@dataclass
class _OpenSession:
    session: tvm_rpc.RPCSession
    device: Any
    fill: RemoteFill | None
    library_path: str = ""
    library: Any = None


_current: _OpenSession | None = None


def open_current(address: RpcAddress, device_kind: str, fill_path: str | None, session_timeout_s: float) -> None:
    """Connect to a server, for the calls of `run_kernel` that follow.

    Parameters
    ----------
    address : RpcAddress
        The tracker and key.
    device_kind : str
        TVM's name of the device.
    fill_path : str or None
        The library of `remote_fill`; without one, all inputs are sent.
    session_timeout_s : float
        The server ends the session by itself after this time.
    """
    global _current
    close_current()
    session = open_session(address, session_timeout_s=session_timeout_s)
    device = session.device(device_kind, 0)
    _current = _OpenSession(session, device, RemoteFill(session, device, fill_path) if fill_path else None)


def prepare_fill(target_json: str, path: str) -> bool:
    """Write the library of `remote_fill` for a target; False if the target is no CPU."""
    target = tvm.ir.load_json(target_json)
    if target.kind.name != "llvm":
        return False
    write_fill_library(target, Path(path))
    return True


def close_current() -> None:
    """End the session, if there is one."""
    global _current
    if _current is not None:
        close_session(_current.session)
        _current = None
        gc.collect()


def run_kernel(kernel: BuiltKernel, config: MeasureConfig) -> RunOutcome:
    """Run one kernel on random inputs, compare its outputs with the reference, and time it.

    Parameters
    ----------
    kernel : BuiltKernel
        The kernel; its library is uploaded unless the kernel before was of the same one.
    config : MeasureConfig
        How to time.

    Returns
    -------
    RunOutcome
        A failure of the kernel or of the server is an outcome as well.
    """
    if _current is None:
        return RunOutcome(error="no session", server_lost=True)
    try:
        return _run(_current, kernel, config)
    except Exception as error:
        # A kernel's own error leaves the session usable; after a crash nobody answers.
        lost = not session_answers(_current.session)
        return RunOutcome(error=meaningful_lines(f"{type(error).__name__}: {error}"), server_lost=lost)


def _run(current: _OpenSession, kernel: BuiltKernel, config: MeasureConfig) -> RunOutcome:
    if current.library_path != kernel.library_path:
        current.library = load_library(current.session, kernel.library_path)
        current.library_path = kernel.library_path
    inputs = [_input(current, kernel, index) for index in range(len(kernel.inputs))]
    outputs = [tvm.nd.empty(spec.shape, spec.dtype, current.device) for spec in kernel.outputs]
    function = current.library.get_function(symbol_of(kernel.key))
    function(*inputs, *outputs)
    current.device.sync()
    numerics, max_error = "single_op", math.nan
    if kernel.expected_path is not None:
        numerics, max_error = _check(kernel, outputs, _SAMPLING_SHARE * config.run_timeout_s)
        if numerics == "wrong":
            return RunOutcome(
                numerics=numerics,
                max_error=max_error,
                error=f"outputs differ from the unfused ops by {max_error:.3g} of their largest value",
            )
    for _ in range(config.warmup):
        function(*inputs, *outputs)
    times_ms = _time(current, symbol_of(kernel.key), [*inputs, *outputs], config)
    return RunOutcome(times_ms=times_ms, numerics=numerics, max_error=max_error)


def _input(current: _OpenSession, kernel: BuiltKernel, index: int) -> Any:
    """One of the inputs that `random_inputs` gives, on the server."""
    spec = kernel.inputs[index]
    if current.fill is not None and spec.dtype == "float32" and 0 not in spec.shape:
        start = block_start(kernel.key, index)
        return current.fill.tensor(spec, start=start, positive=kernel.input_range.positive)
    return to_device(random_input(spec, kernel.input_range, kernel.key, index), spec, current.device)


def _check(kernel: BuiltKernel, outputs: list[Any], sampling_s: float) -> tuple[str, float]:
    actual = [output.numpy() for output in outputs]
    with np.load(str(kernel.expected_path)) as file:
        expected = [file[f"arr_{i}"] for i in range(len(actual))]
    dtypes = [spec.dtype for spec in kernel.outputs]
    verdicts = [compare(*arrays) for arrays in zip(actual, expected, dtypes, strict=True)]
    worst = max(max_error for _, max_error in verdicts)
    if all(ok for ok, _ in verdicts):
        return "ok", worst
    samples = _samples(kernel, sampling_s)
    return ("sensitive" if within_rounding(actual, expected, samples, dtypes) else "wrong"), worst


def _samples(kernel: BuiltKernel, seconds: float) -> Iterator[list[Array]]:
    """What the unfused ops give with other rounding errors, several times; fewer where that takes long."""
    end = time.monotonic() + seconds
    function = tvm.ir.load_json(kernel.relay_json)
    inputs = random_inputs(kernel.inputs, kernel.input_range, kernel.key)
    _unfused_ops.compile_ops([function])
    for seed in range(SAMPLES):
        if time.monotonic() < end:
            yield _unfused_ops.outputs(function, inputs, disturbances(seed))


def _time(current: _OpenSession, symbol: str, arguments: list[Any], config: MeasureConfig) -> tuple[float, ...]:
    """Time a kernel with as many calls as its own duration asks for."""
    once = current.library.time_evaluator(symbol, current.device, number=1, repeat=1)
    first_ms = once(*arguments).mean * 1e3
    number = calls_per_time(first_ms, config)
    if number == 0:
        return (first_ms,)
    evaluator = current.library.time_evaluator(symbol, current.device, number=number, repeat=config.repeat)
    return tuple(seconds * 1e3 for seconds in evaluator(*arguments).results)


def calls_per_time(first_ms: float, config: MeasureConfig) -> int:
    """How many calls to average into one time, for a kernel that took `first_ms`; 0 if that one time must do."""
    if first_ms > config.max_timing_ms:
        return 0
    first_ms = max(first_ms, 1e-4)
    wanted = max(config.number, math.ceil(config.min_repeat_ms / first_ms))
    affordable = int(config.max_timing_ms / (first_ms * config.repeat))
    return max(1, min(wanted, affordable))
