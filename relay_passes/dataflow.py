"""Read a Relay function as a list of ops, values and uses: tuples folded away, without recursion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import tvm
from tvm import relay

from tvm_go.errors import UnsupportedModelError
from tvm_go.graph import Pattern, ValueKind

#: A value's number, or a tuple of such for an expression of tuple type.
Leaves: TypeAlias = "int | tuple[Leaves, ...]"


@dataclass(frozen=True)
class Operator:
    """What TVM's registry says of an operator; calls of functions count as operators of their own."""

    name: str
    pattern: Pattern = Pattern.OPAQUE
    is_computed: bool = False  # FuseOps would make it a kernel: calls of functions and annotations stay bare
    is_reshape: bool = False
    is_function: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor: which op makes it (or the Relay expression that it is) and its type."""

    kind: ValueKind
    op: int  # producing op, -1 for inputs and constants
    index: int  # position among the op's outputs, or among the graph inputs
    type: relay.TensorType
    shape: tuple[int, ...]
    dtype: str
    expr: relay.Expr = None  # the Var or Constant; None for what an op makes


@dataclass
class Dataflow:
    """The ops of a Relay function in post-order.

    ``operators[i]`` and ``uses[i]`` say what ``calls[i]`` computes and from which arguments; ``returned`` is the
    body's structure over values.
    """

    function: relay.Function
    calls: list[relay.Call] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    first_value: list[int] = field(default_factory=list)  # value of output 0 of each op
    uses: list[list[Leaves]] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    returned: Leaves = ()


def read(mod: tvm.IRModule) -> Dataflow:
    """List the ops of ``mod["main"]`` in the order in which Relay's own post-order visitor meets them.

    Parameters
    ----------
    mod : tvm.IRModule
        Type-inferred; ``main`` is a pure dataflow graph.

    Raises
    ------
    UnsupportedModelError
        On control flow, closures, references, dynamic shapes, tuple-typed inputs: names the construct.
    """
    return _Reader(mod).read()


def post_order(body: relay.Expr) -> Iterator[tuple[relay.Expr, list[relay.Expr]]]:
    """Each expression once, after its children and with them, in the order of Relay's own visitor.

    Calls, tuples and projections have children; nothing else is entered.
    """
    seen: set[int] = set()
    stack: list[tuple[relay.Expr, list[relay.Expr] | None]] = [(body, None)]
    while stack:
        expr, children = stack.pop()
        if address(expr) in seen:
            continue
        if children is None:
            children = _children(expr)
            stack.append((expr, children))
            stack.extend((child, None) for child in reversed(children) if address(child) not in seen)
        else:
            seen.add(address(expr))
            yield expr, children


def address(node: tvm.Object) -> int:
    """Tells nodes apart, as long as they are alive."""
    return node.handle.value


def _children(expr: relay.Expr) -> list[relay.Expr]:
    if isinstance(expr, relay.Call):
        return list(_items(expr.args))
    if isinstance(expr, relay.Tuple):
        return list(_items(expr.fields))
    if isinstance(expr, relay.TupleGetItem):
        return [expr.tuple_value]
    return []


def with_main(mod: tvm.IRModule, main: relay.Function) -> tvm.IRModule:
    """A copy of the module with another ``main``; the given module stays as it is."""
    copy = mod.clone()
    copy.update_func(copy.get_global_var("main"), main)
    return copy


def flatten(leaves: Leaves) -> list[int]:
    """Values of a nested structure, left to right."""
    if isinstance(leaves, int):
        return [leaves]
    values: list[int] = []
    stack: list[Leaves] = [leaves]
    while stack:
        part = stack.pop()
        if isinstance(part, int):
            values.append(part)
        else:
            stack.extend(reversed(part))
    return values


class _Reader:
    """One traversal. Nodes are told apart by address: ``main`` keeps them alive meanwhile.

    A call into TVM takes some microseconds and there is nothing else to wait for, so every field is fetched once.
    """

    def __init__(self, mod: tvm.IRModule) -> None:
        self.mod = mod
        self.flow = Dataflow(mod["main"])
        self.leaves: dict[int, Leaves] = {}
        self.tensors: dict[int | str, tuple[tuple[int, ...], str]] = {}  # by a type's address, and by its text

    def read(self) -> Dataflow:
        flow = self.flow
        for number, param in enumerate(flow.function.params):
            self.leaves[address(param)] = self.add_leaf(ValueKind.INPUT, number, param)
        for expr, children in post_order(flow.function.body):
            if address(expr) not in self.leaves:
                self.leaves[address(expr)] = self.enter(expr, [self.leaves[address(child)] for child in children])
        flow.returned = self.leaves[address(flow.function.body)]
        return flow

    def enter(self, expr: relay.Expr, children: list[Leaves]) -> Leaves:
        """Record one expression whose children are recorded."""
        if isinstance(expr, relay.Call):
            return self.enter_call(expr, children)
        if isinstance(expr, relay.Tuple):
            return tuple(children)
        if isinstance(expr, relay.TupleGetItem):
            (parts,) = children
            assert isinstance(parts, tuple)  # type inference has seen to it
            return parts[expr.index]
        if isinstance(expr, relay.Constant):
            return self.add_leaf(ValueKind.CONSTANT, -1, expr)
        construct = _REFUSED.get(type(expr).__name__, f"the model holds a Relay {type(expr).__name__}, ")
        raise UnsupportedModelError(construct + _HINT)

    def enter_call(self, call: relay.Call, arguments: list[Leaves]) -> Leaves:
        operator = operator_of(self.mod, call.op)
        for position, argument in enumerate(arguments):
            if isinstance(argument, tuple) and (not argument or not all(isinstance(part, int) for part in argument)):
                raise UnsupportedModelError(
                    f"argument {position} of {operator.name} is a nested or empty tuple, {_HINT}"
                )
        flow = self.flow
        op = len(flow.calls)
        flow.calls.append(call)
        flow.operators.append(operator)
        flow.uses.append(arguments)
        flow.first_value.append(len(flow.values))
        kind = call.checked_type
        if isinstance(kind, relay.TupleType):
            return tuple(
                self.add_tensor(ValueKind.OP, op, index, part, operator.name) for index, part in enumerate(kind.fields)
            )
        return self.add_tensor(ValueKind.OP, op, 0, kind, operator.name)

    def add_leaf(self, kind: ValueKind, index: int, expr: relay.Expr) -> int:
        name = f"input '{expr.name_hint}'" if isinstance(expr, relay.Var) else "a constant"
        return self.add_tensor(kind, -1, index, expr.checked_type, name, expr)

    def add_tensor(
        self, kind: ValueKind, op: int, index: int, tensor: relay.Type, name: str, expr: relay.Expr = None
    ) -> int:
        known = self.tensors.get(address(tensor))
        if known is None:
            text = tvm.ir.save_json(tensor)
            known = self.tensors.get(text) or _shape_and_dtype(tensor, name)
            self.tensors[address(tensor)] = self.tensors[text] = known
        self.flow.values.append(Value(kind, op, index, tensor, *known, expr))
        return len(self.flow.values) - 1


def _items(array: tvm.ir.Array) -> Iterator[tvm.Object]:
    """Elements of a TVM array; Python's own protocol asks for the length before each and once more at the end."""
    return (_ARRAY_ITEM(array, index) for index in range(_ARRAY_SIZE(array)))


_ARRAY_SIZE = tvm.get_global_func("runtime.ArraySize")
_ARRAY_ITEM = tvm.get_global_func("runtime.ArrayGetItem")

_HINT = "which has no place in a static dataflow graph; compile it with `relay.build` or the Relay VM instead"
_REFUSED = {
    "If": "the model has control flow (Relay `if`), ",
    "Match": "the model has control flow (Relay `match`), ",
    "Let": "the model binds with Relay `let` (run relay.transform.ToGraphNormalForm() on it first), ",
    "Function": "the model passes a Relay function as a value, ",
    "Var": "the model uses a variable that is no parameter of main, ",
    "RefCreate": "the model uses Relay references, ",
    "RefRead": "the model uses Relay references, ",
    "RefWrite": "the model uses Relay references, ",
}


def operator_of(mod: tvm.IRModule, callee: relay.Expr) -> Operator:
    """What a call calls.

    Raises
    ------
    UnsupportedModelError
        For a Relay function that is neither a kernel nor meant for another code generator.
    """
    if not isinstance(callee, tvm.ir.Op):
        return _opaque_callee(mod, callee)
    operator = _OPERATORS.get(address(callee))
    if operator is None:
        pattern = callee.get_attr("TOpPattern")
        computed = not callee.get_attr("TNonComputational")
        operator = Operator(
            name=str(callee.name),
            pattern=Pattern.OPAQUE if pattern is None or not computed else Pattern(int(pattern)),
            is_computed=computed,
            is_reshape=bool(callee.get_attr("TReshapeOp")),
        )
        _OPERATORS[address(callee)] = operator
    return operator


_OPERATORS: dict[int, Operator] = {}  # by address: TVM's registry never frees an operator


def _opaque_callee(mod: tvm.IRModule, callee: relay.Expr) -> Operator:
    """Functions for another code generator, and kernels that are fused already, stay as they are: opaque ops."""
    name = "primitive_function"
    function = callee
    if isinstance(callee, relay.GlobalVar):
        name = f"@{callee.name_hint}"
        function = mod[callee]
    attributes = function.attrs if isinstance(function, relay.Function) else None
    if attributes is not None and ("Compiler" in attributes or "Primitive" in attributes):
        return Operator(name, is_function=True)
    raise UnsupportedModelError(
        f"the model calls {name}, a Relay function that is neither a kernel nor meant for another code "
        "generator; run relay.transform.Inline() on it first"
    )


def _shape_and_dtype(tensor: relay.Type, name: str) -> tuple[tuple[int, ...], str]:
    if not isinstance(tensor, relay.TensorType):
        raise UnsupportedModelError(f"{name} has type {tensor}: only tensors and flat tuples of tensors are planned")
    if relay.ty.is_dynamic(tensor):
        raise UnsupportedModelError(
            f"{name} has the dynamic shape ({', '.join(_extent(extent) for extent in tensor.shape)}); "
            "give every input a static shape (--input-shapes)"
        )
    return tuple(int(extent) for extent in tensor.shape), str(tensor.dtype)


def _extent(extent: tvm.ir.PrimExpr) -> str:
    return str(extent.value) if isinstance(extent, tvm.tir.IntImm) else "?"
