"""Give kernels of one build their own lowerings, without a change for the others.

TVM asks the current MetaSchedule database for every kernel as soon as there is one, whether or not MetaSchedule is
enabled for the build (`ScheduleBuilder` in tvm/src/relay/backend/te_compiler_cache.cc); what its TIR converter declines
keeps the schedule of its TE strategy. Strategies look at the build's configuration only, so they choose as ever.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import tvm
from tvm import meta_schedule, relay
from tvm.relay.backend import te_compiler
from tvm.tir.schedule import Schedule, Trace

import relay_passes.blocked_forms  # TVM asks them for the strategies of operators
import relay_passes.opencl_source  # and this for code
import relay_passes.winograd  # noqa: F401
from relay_passes.concatenation import with_plain_concatenations
from relay_passes.dataflow import read
from relay_passes.schedules import NotSchedulableError, Tiling, generic_schedule, normalized
from tvm_go.copies import HOST
from tvm_go.errors import PlanError
from tvm_go.lowering import TE, Lowering

Chooser = Callable[[tvm.tir.PrimFunc], Lowering]
_Key = tuple[int, str]  # of a computation: its structural hash and the kind of its target

_CONVERTER = "tvm_go"


@dataclass
class _Scope:
    """What is chosen in a scope, and the choice for the kernel that TVM is at: it converts one, then schedules it."""

    choose: Chooser
    taken: Lowering = TE
    target: tvm.target.Target | None = None


_scopes: list[_Scope] = []  # the innermost last


#: What a build's `PassContext` needs for its kernels to be lowered as a scope says.
PASS_CONFIG = {
    "relay.backend.tir_converter": _CONVERTER,
    "tir.disable_cse_tir": True,  # LLVM does it too; TVM's leaves vector `Let`s, which some LLVMs refuse
}
_ATTRIBUTE, _DEVICE = "tvm_go_lowering", "tvm_go_device"
NO_COMPUTATION = "an op in this kernel is code of TVM's own, not a computation to schedule: only TE's schedule takes it"


@contextlib.contextmanager
def lowering_scope(choose: Chooser) -> Iterator[None]:
    """Within it, TVM lowers each kernel as ``choose`` says of its computation, under `PASS_CONFIG`."""
    scope = _Scope(choose)

    def schedule(sch: Schedule) -> bool:
        apply_lowering(sch, scope.taken, scope.target)
        return True

    _scopes.append(scope)
    try:
        with meta_schedule.database.ScheduleFnDatabase(schedule):
            yield
    finally:
        _scopes.pop()


@contextlib.contextmanager
def pass_config() -> Iterator[None]:
    """The current `PassContext` with `PASS_CONFIG` in it."""
    current = tvm.transform.PassContext.current()
    with tvm.transform.PassContext(
        opt_level=current.opt_level,
        required_pass=current.required_pass,
        disabled_pass=current.disabled_pass,
        config={**dict(current.config), **PASS_CONFIG},
    ):
        yield


def with_lowering(function: relay.Function, lowering: Lowering, device: int = HOST) -> relay.Function:
    """The primitive function of a kernel, marked with its lowering and with the device that it is for."""
    if lowering == TE:
        return function
    return function.with_attr({_ATTRIBUTE: lowering.to_text(), _DEVICE: tvm.tir.IntImm("int32", device)})


def planned_chooser(mod: tvm.IRModule, targets: Sequence[tvm.target.Target]) -> PlannedChooser | None:
    """The lowerings that the kernels of a regrouped module are marked with; None if all are ``te``.

    Must run inside `relay_passes.targets.build_scopes` of the targets.

    Parameters
    ----------
    targets : sequence of tvm.target.Target
        Of each device, in the order in which kernels name them.
    """
    marked = [
        (call.op, Lowering.from_text(str(call.op.attrs[_ATTRIBUTE])), targets[int(call.op.attrs[_DEVICE])])
        for call in read(relay.transform.InferType()(mod)).calls
        if isinstance(call.op, relay.Function) and call.op.attrs and _ATTRIBUTE in call.op.attrs.keys()  # noqa: SIM118
    ]
    return chooser_of(marked) if marked else None


def apply_lowering(sch: Schedule, lowering: Lowering, target: tvm.target.Target) -> None:
    """Schedule a kernel's computation in place, by a lowering other than ``te``."""
    if lowering.kind == "tir":
        tiling = Tiling.from_json(json.loads(lowering.detail)) if lowering.detail else None
        generic_schedule(sch, target, tiling)
    else:
        Trace.apply_json_to_schedule(json.loads(lowering.detail), sch)


@dataclass
class PlannedChooser:
    """Finds the lowerings of a build's kernels again by their computations and targets, and notes which it found."""

    table: dict[_Key, list[tuple[tvm.tir.PrimFunc, Lowering]]]
    found: set[_Key] = field(default_factory=set)

    def __call__(self, func: tvm.tir.PrimFunc) -> Lowering:
        key = _key(func, tvm.target.Target.current())
        for known, lowering in self.table.get(key, ()):
            if tvm.ir.structural_equal(known, func):
                self.found.add(key)
                return lowering
        return TE

    def check(self) -> None:
        """Raise :class:`PlanError` if a lowering was not asked for: the build made other kernels than were planned."""
        lost = [entries[0][1].kind for key, entries in self.table.items() if key not in self.found]
        if lost:
            raise PlanError(
                f"{len(lost)} kernels of the plan (lowering {lost[0]}) are not in the build that TVM made of it: "
                "tune again with this version of TVM"
            )


def chooser_of(functions: Iterable[tuple[relay.Function, Lowering, tvm.target.Target]]) -> PlannedChooser:
    """The lowerings of a build's kernels, found again by their computations.

    Parameters
    ----------
    functions : iterable of (relay.Function, Lowering, tvm.target.Target)
        Primitive functions, type-inferred, whose lowering is not ``te``.
    """
    te_compiler.get().clear()
    distinct = {
        (int(tvm.ir.structural_hash(function)), target.kind.name): (function, lowering, target)
        for function, lowering, target in functions
    }
    table: dict[_Key, list[tuple[tvm.tir.PrimFunc, Lowering]]] = {}
    for function, lowering, target in distinct.values():
        computation = computation_of(function, target)
        table.setdefault(_key(computation, target), []).append((computation, lowering))
    return PlannedChooser(table)


def computation_of(function: relay.Function, target: tvm.target.Target) -> tvm.tir.PrimFunc:
    """What a kernel computes, as TIR without a schedule.

    Must run inside `relay_passes.targets.build_scopes(target)`: the strategy decides on the computation as well. TVM's
    TE compiler must not hold the kernel.

    Raises
    ------
    NotSchedulableError
        If TVM has no TIR for it.
    """
    found: list[tvm.tir.PrimFunc] = []

    def note(func: tvm.tir.PrimFunc) -> Lowering:
        found.append(func)
        raise _FoundError

    try:
        with pass_config(), lowering_scope(note):
            te_compiler.get().lower(function, target)
    except RuntimeError:  # TVM's own wrapping of what `note` raised
        if not found:
            raise
    if not found:
        raise NotSchedulableError(NO_COMPUTATION)
    return found[0]


class _FoundError(Exception):
    """Ends a lowering once its computation is known."""


@tvm.register_func(f"relay.backend.tir_converter.{_CONVERTER}", override=True)
def _convert(arguments: list[object], constants: list[object]) -> tvm.tir.PrimFunc | None:
    """The computation of a kernel that has a lowering of its own; None leaves it to TE."""
    func = tvm.get_global_func("relay.backend.tir_converter.allow_extern")(arguments, constants)
    func = with_plain_concatenations(func) if func is not None else None
    if func is None or not _scopes:
        return None
    _scopes[-1].taken, _scopes[-1].target = _scopes[-1].choose(func), tvm.target.Target.current()
    return None if _scopes[-1].taken == TE else normalized(func)


def _key(func: tvm.tir.PrimFunc, target: tvm.target.Target) -> _Key:
    return int(tvm.ir.structural_hash(func)), str(target.kind.name)
