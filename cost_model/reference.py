"""What a kernel should compute: its ops one by one, each compiled alone for this machine and run here.

Runs inside a build worker: an op may be as badly behaved as a kernel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relay
from tvm.target import codegen

from cost_model.kernel_inputs import Array, to_device
from cost_model.lowering import compile_functions, lower_primitive, tensor_specs
from relay_passes.rounding import Disturb
from relay_passes.targets import build_scopes


@dataclass(frozen=True)
class _Step:
    """One op of a kernel: the call, where its arguments come from, and the call alone as a function of them."""

    call: relay.Call
    arguments: tuple[relay.Expr, ...]
    function: relay.Function
    symbol: str


class UnfusedOps:
    """Compiled single ops, kept by their structure: the kernels of one model share most of them."""

    def __init__(self) -> None:
        # LLVM 22 refuses some of TVM's vector code for some CPUs ("#dbg_declare"); a plain target then does. Some forms
        # of ops have strategies for ARM only, whose schedules are code for any CPU.
        host = f"llvm -mcpu={codegen.llvm_get_system_cpu()}"
        texts = (host, "llvm", "llvm -keys=arm_cpu,cpu")
        self._targets = [tvm.target.Target(f"{text} -opt-level=1") for text in texts]
        self._compiled: dict[str, Callable[..., None]] = {}

    def compile_ops(self, functions: Iterable[relay.Function]) -> None:
        """Compile the ops of these kernels that are not known yet, together, which is quicker than one by one."""
        steps = {step.symbol: step for function in functions for step in _steps(function)}
        missing = {symbol: _typed(step.function) for symbol, step in steps.items() if symbol not in self._compiled}
        if missing:
            module = _compile_for_one_of(self._targets, missing)
            self._compiled |= {symbol: module.get_function(symbol) for symbol in missing}

    def outputs(self, function: relay.Function, inputs: list[Array], disturb: Disturb | None = None) -> list[Array]:
        """Compute a kernel op by op, after `compile_ops`.

        Parameters
        ----------
        function : relay.Function
            The kernel.
        inputs : list of numpy.ndarray
            One per parameter.
        disturb : callable, optional
            Applied to each input and to each result of an op, as rounding errors are.

        Returns
        -------
        list of numpy.ndarray
            One per output tensor.
        """
        values: dict[relay.Expr, list[tvm.nd.NDArray]] = {
            parameter: [
                to_device(disturb(array) if disturb else array, tensor_specs(parameter.checked_type)[0], tvm.cpu())
            ]
            for parameter, array in zip(function.params, inputs, strict=True)
        }
        for step in _steps(function):
            arguments = [tensor for source in step.arguments for tensor in _tensors(source, values)]
            results = [tvm.nd.empty(spec.shape, spec.dtype) for spec in tensor_specs(step.call.checked_type)]
            self._compiled[step.symbol](*arguments, *results)
            if disturb:
                for result in results:
                    result.copyfrom(disturb(result.numpy()))
            values[step.call] = results
        return [tensor.numpy() for tensor in _tensors(function.body, values)]


def _tensors(source: relay.Expr, values: dict[relay.Expr, list[tvm.nd.NDArray]]) -> list[tvm.nd.NDArray]:
    """The tensors that an expression stands for, looking through tuples and projections."""
    if isinstance(source, relay.Tuple):
        return [tensor for part in source.fields for tensor in _tensors(part, values)]
    if isinstance(source, relay.TupleGetItem):
        return [_tensors(source.tuple_value, values)[source.index]]
    if isinstance(source, relay.Constant):
        return [source.data]
    return values[source]


def _steps(function: relay.Function) -> list[_Step]:
    calls: list[relay.Call] = []
    relay.analysis.post_order_visit(
        function.body, lambda node: calls.append(node) if isinstance(node, relay.Call) else None
    )
    return [_step(call) for call in calls]


def _step(call: relay.Call) -> _Step:
    parameters: list[relay.Var] = []
    sources: list[relay.Expr] = []

    def parameter(source: relay.Expr, source_type: Any) -> relay.Expr:
        if isinstance(source_type, relay.TupleType):
            fields = source.fields if isinstance(source, relay.Tuple) else None
            return relay.Tuple(
                [
                    parameter(fields[i] if fields is not None else relay.TupleGetItem(source, i), field)
                    for i, field in enumerate(source_type.fields)
                ]
            )
        if isinstance(source, relay.Constant):  # scalars stay inside, as in the kernel
            return source
        variable = relay.Var(f"p{len(parameters)}", source_type)
        parameters.append(variable)
        sources.append(source)
        return variable

    arguments = [parameter(source, source.checked_type) for source in call.args]
    single = relay.Function(parameters, relay.Call(call.op, arguments, call.attrs), call.checked_type)
    single = single.with_attr("Primitive", tvm.tir.IntImm("int32", 1))
    return _Step(call, tuple(sources), single, f"op_{tvm.ir.structural_hash(single) & (2**64 - 1):016x}")


def _compile_for_one_of(targets: Sequence[tvm.target.Target], functions: dict[str, relay.Function]) -> Any:
    """Compile for the first target that takes them all; if none does, the first one's error says why."""
    try:
        return _compile(functions, targets[0])
    except RuntimeError:  # also the base of TVM's own
        if len(targets) > 1:
            with contextlib.suppress(RuntimeError):
                return _compile_for_one_of(targets[1:], functions)
        raise


def _compile(functions: dict[str, relay.Function], target: tvm.target.Target) -> tvm.runtime.Module:
    with build_scopes(target):
        lowered = {symbol: lower_primitive(function, target, symbol) for symbol, function in functions.items()}
        return compile_functions(lowered, target)


def _typed(function: relay.Function) -> relay.Function:
    return relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]
