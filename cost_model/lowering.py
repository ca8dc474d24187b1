"""From a primitive Relay function to machine code, by the path that `relay.build` takes for one kernel."""

from __future__ import annotations

import functools
from typing import Any

import tvm
from tvm import relay
from tvm.driver import _ffi_api as driver
from tvm.relay.backend import te_compiler

from cost_model.kernel_inputs import TensorSpec
from relay_passes.lowering import NO_COMPUTATION, lowering_scope, pass_config
from relay_passes.schedules import NotSchedulableError
from tvm_go.lowering import TE, Lowering

# TVM asks for its build options once per dimension of every op, 2 ms each: a third of all lowering time.
te_compiler.libinfo = functools.cache(te_compiler.libinfo)


def lower_primitive(
    function: relay.Function, target: tvm.target.Target, symbol: str, lowering: Lowering = TE
) -> tvm.tir.PrimFunc:
    """Schedule a primitive function and lower it to TIR.

    Must run inside `relay_passes.targets.build_scopes(target)`, on which strategies and schedules depend.

    Parameters
    ----------
    function : relay.Function
        Type-inferred, with the attribute Primitive=1.
    target : tvm.target.Target
        What to schedule for.
    symbol : str
        The name that the kernel gets in its library.
    lowering : Lowering
        How to schedule it.

    Raises
    ------
    NotSchedulableError
        If it cannot be lowered so.
    """
    compiler = te_compiler.get()
    if lowering == TE:
        with pass_config():  # as in a whole build by a plan
            lowered = compiler.lower(function, target)
    else:
        compiler.clear()  # it may hold the function in another lowering
        seen: list[tvm.tir.PrimFunc] = []

        def choose(func: tvm.tir.PrimFunc) -> Lowering:
            seen.append(func)
            return lowering

        with pass_config(), lowering_scope(choose):
            lowered = compiler.lower(function, target)
        compiler.clear()
        if not seen:  # TVM went on with TE
            raise NotSchedulableError(NO_COMPUTATION)
    kernel = lowered.funcs[lowered.prim_fn_var]
    return kernel.with_attr("global_symbol", symbol).with_attr("target", target)


def compile_functions(functions: dict[str, Any], target: tvm.target.Target) -> tvm.runtime.Module:
    """Generate the code of lowered functions, all in one module.

    `tvm.build` would lower them once more; `relay.build` does not, and calls what is called here (TIRToRuntime in
    tvm/src/driver/driver_api.cc).
    """
    host = target.host or (target if target.kind.name in ("llvm", "c") else tvm.target.Target("llvm"))
    return driver.tir_to_runtime({target: tvm.IRModule(functions)}, host)


def forget_lowered() -> None:
    """Empty the TE compiler's cache, which otherwise keeps every function that was ever lowered."""
    te_compiler.get().clear()


def tensor_specs(relay_type: Any) -> tuple[TensorSpec, ...]:
    """The tensors of a type: one, or those of a tuple."""
    if isinstance(relay_type, relay.TupleType):
        return tuple(spec for field in relay_type.fields for spec in tensor_specs(field))
    return (TensorSpec(tuple(int(extent) for extent in relay_type.shape), relay_type.dtype),)
