"""Faults put into a child process: what a kernel with a given key does to the worker that builds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def faulty_build(bad_key: str, fault: str) -> Callable[..., Any]:
    """A stand-in for `build_worker.build_kernels`. It is pickled by value, being local, and changes only the child."""

    def build(*args: Any) -> Any:
        import importlib
        import os
        import signal
        import time

        build_worker: Any = importlib.import_module("cost_model.build_worker")
        lower, compile_functions = build_worker.lower_primitive, build_worker.compile_functions
        unfused_ops: Any = build_worker.UnfusedOps
        outputs = unfused_ops.outputs

        def bad_lower(function: Any, target: Any, symbol: str, lowering: Any) -> Any:
            if bad_key in symbol:
                if fault == "crash":
                    os.kill(os.getpid(), signal.SIGSEGV)
                if fault == "hang":
                    time.sleep(1000)
                if fault == "memory":
                    bytearray(1 << 40)
            lowered = lower(function, target, symbol, lowering)
            return altered(lowered) if bad_key in symbol else lowered

        def altered(lowered: Any) -> Any:
            tir: Any = importlib.import_module("tvm.tir")
            if fault == "endless":
                step = tir.Var("step", "int64")
                return lowered.with_body(tir.For(step, 0, 1 << 50, tir.ForKind.SERIAL, lowered.body))
            if fault == "wrong numbers":
                return lowered.with_body(
                    tir.stmt_functor.ir_transform(lowered.body, None, off_by_one, ["tir.BufferStore"])
                )
            return lowered

        def off_by_one(store: Any) -> Any:
            tir: Any = importlib.import_module("tvm.tir")
            return tir.BufferStore(store.buffer, store.value + 1, store.indices)

        def bad_compile(functions: Any, target: Any) -> Any:
            if any(bad_key in symbol for symbol in functions):
                if fault == "crash in code generation":
                    os.abort()
                if fault == "error in code generation":
                    raise RuntimeError("LLVM says no")
            return compile_functions(functions, target)

        def wrong_outputs(self: Any, function: Any, inputs: Any) -> Any:
            values = outputs(self, function, inputs)
            return [value + 1 for value in values] if fault == "wrong reference" else values

        build_worker.lower_primitive, build_worker.compile_functions = bad_lower, bad_compile
        unfused_ops.outputs = wrong_outputs
        try:
            return build_worker.build_kernels(*args)
        finally:
            build_worker.lower_primitive, build_worker.compile_functions = lower, compile_functions
            unfused_ops.outputs = outputs

    return build
