"""What a variant is, and what it may look at: one op of the base module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relay

from relay_passes.dataflow import Dataflow, Value
from tvm_go.graph import ValueKind

DEFAULT = "default"
"""The op as TVM itself treats it."""

#: What TVM's AlterOpLayout asks of an op: ``(attrs, inputs, tensor infos, output type) -> call or None`` to keep it.
Alter: TypeAlias = Callable[[Any, Sequence[relay.Expr], Sequence[Any], relay.Type], "relay.Expr | None"]

Array: TypeAlias = npt.NDArray[Any]

_FLOATS = {"float16", "float32", "float64"}


@dataclass(frozen=True)
class Site:
    """One op of the base module.

    Parameters
    ----------
    lanes : int
        32-bit lanes of the target's vectors; 0 where the target has no blocked layouts (no x86 schedules).
    parallel : tuple of int
        Ops, this one among them, that read the same left input and could be computed as one.
    """

    flow: Dataflow
    op: int
    lanes: int
    parallel: tuple[int, ...] = ()

    @property
    def call(self) -> relay.Call:
        return self.flow.calls[self.op]

    @property
    def attrs(self) -> Any:
        return self.flow.calls[self.op].attrs

    def argument(self, position: int) -> Value:
        """One argument that is a tensor."""
        value = self.flow.uses[self.op][position]
        assert isinstance(value, int)
        return self.flow.values[value]

    @property
    def result(self) -> Value:
        return self.flow.values[self.flow.first_value[self.op]]

    def is_constant(self, position: int) -> bool:
        return self.argument(position).kind == ValueKind.CONSTANT

    @property
    def is_float(self) -> bool:
        """Whether both arguments and the result have one floating type; quantised ops keep their own forms."""
        return {self.argument(0).dtype, self.argument(1).dtype} == {self.result.dtype} <= _FLOATS


@dataclass(frozen=True)
class Variant:
    """One equivalent form of an op.

    Parameters
    ----------
    name : str
        As decisions name it; unique among the variants of an operator.
    applies : function
        Whether this op can take the form.
    rewrite : function, optional
        The op's result from its arguments. The arguments are typed variables, constants are themselves.
    join : function, optional
        Instead of ``rewrite``, for ops that share their first argument: their results from that argument.
    inputs : function, optional
        The values that ``rewrite`` takes in place of the op's arguments: computed before it, or constants.
    alter : function, optional
        What AlterOpLayout does with the ``nn.conv2d`` and ``nn.dense`` calls that come out; default TVM's own.
    """

    name: str
    applies: Callable[[Site], bool]
    rewrite: Callable[[Site, list[relay.Expr]], relay.Expr] | None = None
    join: Callable[[list[Site], relay.Expr], list[relay.Expr]] | None = None
    inputs: Callable[[Site], tuple[int, ...]] | None = None
    alter: Alter | None = None


def same_call(site: Site, arguments: list[relay.Expr]) -> relay.Expr:
    """The op as it is, with attributes of its own: variants of layout are told apart by them."""
    attrs = _LOAD_JSON(tvm.ir.save_json(site.attrs))
    return relay.Call(site.call.op, arguments, attrs, site.call.type_args)


_LOAD_JSON = tvm.get_global_func("node.LoadJSON")  # tvm.ir.load_json takes longer: it upgrades old files first


def constant(data: Array) -> relay.Constant:
    return relay.Constant(tvm.nd.array(np.ascontiguousarray(data)))


def keep(attrs: Any, inputs: Sequence[relay.Expr], infos: Sequence[Any], result: relay.Type) -> None:
    """Leave the layout as it is."""
