"""Builds a batch of kernels into one library, with reference outputs; runs inside a build worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
from tvm import relay

from cost_model.kernel_inputs import InputRange, TensorSpec, input_range, random_inputs
from cost_model.kernel_task import KernelTask
from cost_model.lowering import (
    compile_functions,
    forget_lowered,
    lower_primitive,
    tensor_specs,
)
from cost_model.reference import UnfusedOps
from cost_model.stage_file import StageFile
from relay_passes.error_text import is_memory_error, meaningful_lines
from relay_passes.export import export_library
from relay_passes.targets import build_scopes

SHARED_STAGE = "code generation"


@dataclass(frozen=True)
class BuiltKernel:
    """A kernel that is ready to run.

    Attributes
    ----------
    key : str
        The key of its task.
    library_path : str
        The shared library, which it shares with its batch.
    expected_path : str or None
        Its expected outputs (npz), None for a kernel that is its own reference.
    relay_json : str
        Of its task.
    inputs, outputs : tuple of TensorSpec
        Its parameters and results, in order.
    input_range : InputRange
        What its inputs may be.
    build_s : float
        Its share of the worker's seconds.
    """

    key: str
    library_path: str
    expected_path: str | None
    relay_json: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_range: InputRange
    build_s: float


@dataclass(frozen=True)
class BuildError:
    """A kernel that TVM refused, and why."""

    key: str
    message: str
    build_s: float


# Kept between the calls to one worker process: kernels of one model share most of their ops.
_unfused_ops = UnfusedOps()


def build_kernels(
    tasks: tuple[KernelTask, ...], target_json: str, library_path: str, stage_file: StageFile
) -> list[BuiltKernel | BuildError]:
    """Lower, compile and link a batch of kernels, and compute what they should give.

    Parameters
    ----------
    tasks : tuple of KernelTask
        Kernels with distinct keys.
    target_json : str
        `tvm.ir.save_json` of the target.
    library_path : str
        Where to write the shared library; the expected outputs go beside it.
    stage_file : StageFile
        Told the key of the kernel being worked on, or `SHARED_STAGE` for a step that all share.

    Returns
    -------
    list of BuiltKernel or BuildError
        One per task, in order.

    Raises
    ------
    MemoryError
        This process ran out of memory; any kernel of the batch may be the cause.
    """
    target = tvm.ir.load_json(target_json)
    batch = _Batch(stage_file)
    try:
        with build_scopes(target):
            for task in tasks:
                with batch.kernel(task.key):
                    function = tvm.ir.load_json(task.relay_json)
                    batch.lowered[task.key] = lower_primitive(function, target, symbol_of(task.key), task.lowering)
                    batch.functions[task.key] = function
            with batch.all_kernels():
                _write_library(batch, target, library_path)
        composed = {
            task.key: batch.functions[task.key] for task in tasks if task.has_reference and batch.good(task.key)
        }
        with batch.all_kernels():
            _compile_references(batch, composed)
        expected_paths = {key: str(Path(library_path).with_name(f"{key}.npz")) for key in composed}
        for key, function in composed.items():
            if not batch.good(key):
                continue
            with batch.kernel(key):
                inputs = random_inputs(_input_specs(function), input_range(function), key)
                outputs = _unfused_ops.outputs(function, inputs)
                np.savez(expected_paths[key], *outputs)
        return [_outcome(batch, task, library_path, expected_paths.get(task.key)) for task in tasks]
    finally:
        forget_lowered()


def symbol_of(key: str) -> str:
    """The name of a kernel in its library."""
    return f"k_{key}"


class _Batch:
    """What is known of the kernels of one batch: their functions, errors and times."""

    def __init__(self, stage_file: StageFile) -> None:
        self.functions: dict[str, relay.Function] = {}
        self.lowered: dict[str, tvm.tir.PrimFunc] = {}
        self.errors: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self._stage_file = stage_file

    def good(self, key: str) -> bool:
        return key not in self.errors

    @contextmanager
    def kernel(self, key: str, context: str = "") -> Iterator[None]:
        """A step for one kernel: its time and its errors, with the context in front, are this kernel's."""
        self._stage_file.enter(key)
        start = time.perf_counter()
        try:
            yield
        except Exception as error:  # TVM raises all kinds; whatever it is belongs in the kernel's result
            self.errors[key] = context + _reason(error)
        finally:
            self.seconds[key] = self.seconds.get(key, 0.0) + time.perf_counter() - start

    @contextmanager
    def all_kernels(self) -> Iterator[None]:
        """A step that all kernels share: each gets an equal part of its time."""
        self._stage_file.enter(SHARED_STAGE)
        start = time.perf_counter()
        yield
        for key in self.seconds:
            self.seconds[key] += (time.perf_counter() - start) / len(self.seconds)


def _reason(error: Exception) -> str:
    message = meaningful_lines(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError) or is_memory_error(message):
        raise MemoryError(message) from error
    return message


def _write_library(batch: _Batch, target: tvm.target.Target, library_path: str) -> None:
    """Generate code for all lowered kernels; where that fails, find the ones at fault and leave them out."""
    keys = [key for key in batch.lowered if batch.good(key)]
    if not keys:
        return
    try:
        module = compile_functions({symbol_of(key): batch.lowered[key] for key in keys}, target)
    except Exception as error:
        _reason(error)
        for key in keys:
            with batch.kernel(key):
                compile_functions({symbol_of(key): batch.lowered[key]}, target)
        keys = [key for key in keys if batch.good(key)]
        if not keys:
            return
        module = compile_functions({symbol_of(key): batch.lowered[key] for key in keys}, target)
    export_library(module, Path(library_path), target)


def _compile_references(batch: _Batch, functions: dict[str, relay.Function]) -> None:
    try:
        _unfused_ops.compile_ops(functions.values())
    except Exception as error:
        _reason(error)
        for key, function in functions.items():
            with batch.kernel(key, "no reference, an op does not compile alone: "):
                _unfused_ops.compile_ops([function])


def _input_specs(function: relay.Function) -> tuple[TensorSpec, ...]:
    return tuple(spec for parameter in function.params for spec in tensor_specs(parameter.checked_type))


def _outcome(batch: _Batch, task: KernelTask, library_path: str, expected_path: str | None) -> BuiltKernel | BuildError:
    key = task.key
    if not batch.good(key):
        return BuildError(key, batch.errors[key], batch.seconds[key])
    function = batch.functions[key]
    return BuiltKernel(
        key=key,
        library_path=library_path,
        expected_path=expected_path,
        relay_json=task.relay_json,
        inputs=_input_specs(function),
        outputs=tensor_specs(function.body.checked_type),
        input_range=input_range(function),
        build_s=batch.seconds[key],
    )
