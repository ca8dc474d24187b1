"""Run what `relay.build` runs before it plans devices and fuses."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tvm
from tvm import relay

from relay_passes.common_subexpressions import has_common_subexpressions
from relay_passes.dataflow import read, with_main
from relay_passes.error_text import meaningful_lines
from relay_passes.fold_constants import fold_constants
from relay_passes.plain import NotPlainError
from relay_passes.simplify import simplify
from relay_passes.stack import with_deep_stack
from relay_passes.targets import as_target, build_scopes
from relay_passes.variants.registry import chosen
from relay_passes.variants.rewrite import Rewritten, altered_layouts, rewrite, with_spans
from relay_passes.variants.variant import DEFAULT
from tvm_go.errors import UnsupportedModelError

_THREADS = "TVM_NUM_THREADS"


def prepare(
    mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None = None, *, target: str | tvm.target.Target
) -> tvm.IRModule:
    """Bring a module to the point where `relay.build` at opt level 3 plans devices and fuses.

    The passes are TVM's own list (``relay.backend.GetPassPrefixSeq``), in its order, under the same scopes; some give
    way to ours, which give the same result sooner.

    Parameters
    ----------
    mod : tvm.IRModule or relay.Function
        The model; its ``main`` is planned.
    params : mapping of str to array, optional
        Weights, bound as constants.
    target : str or tvm.target.Target

    Returns
    -------
    tvm.IRModule
        Type-inferred.

    Raises
    ------
    UnsupportedModelError
        If one of TVM's passes fails: an operator or layout that it cannot compile for the target.
    """
    parsed = as_target(target)
    return with_deep_stack(lambda: _late(_early(mod, params, parsed), parsed, Rewritten()))


def prepare_base(
    mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None = None, *, target: str | tvm.target.Target
) -> tvm.IRModule:
    """Run the passes of :func:`prepare` up to the one that chooses layouts for the target.

    Variants are decided on what this returns; :func:`finish` goes on from it. Parameters, result and errors as for
    :func:`prepare`.
    """
    return with_deep_stack(_early, mod, params, as_target(target))


def finish(
    base: tvm.IRModule, *, target: str | tvm.target.Target, variants: Sequence[str] | None = None
) -> tvm.IRModule:
    """Write variants into a base module and run the rest of :func:`prepare`; weights are transformed here.

    Parameters
    ----------
    base : tvm.IRModule
        As :func:`prepare_base` returned it for this target.
    target : str or tvm.target.Target
    variants : sequence of str, optional
        One name for each op of ``read(base).calls``, of those that :func:`relay_passes.variants.options` lists.
        All ``default``, or None, is TVM's own choice.

    Returns
    -------
    tvm.IRModule
        Type-inferred; :func:`relay_passes.variants.origins` tells which op came from which. With all ``default`` the
        module that :func:`prepare` returns.

    Raises
    ------
    PlanError
        If there is not one variant per op, or one does not apply.
    UnsupportedModelError
        As :func:`prepare`; also what :func:`relay_passes.dataflow.read` refuses.
    """
    parsed = as_target(target)
    flow = read(base)
    rewritten = rewrite(flow, chosen(flow, parsed, variants if variants is not None else [DEFAULT] * len(flow.calls)))
    return with_deep_stack(_late, with_main(base, rewritten.function), parsed, rewritten)


def _early(
    mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None, target: tvm.target.Target
) -> tvm.IRModule:
    if isinstance(mod, relay.Function):
        mod = tvm.IRModule.from_expr(mod)
    if params:
        mod = with_main(mod, relay.build_module.bind_params_by_name(mod["main"], dict(params)))
    with build_scopes(target), _one_thread():
        for step in itertools.takewhile(_keeps_layouts, prefix_passes()):
            mod = _run(step, mod)
        return mod


def _late(mod: tvm.IRModule, target: tvm.target.Target, rewritten: Rewritten) -> tvm.IRModule:
    alter, *rest = itertools.dropwhile(_keeps_layouts, prefix_passes())
    with build_scopes(target), _one_thread():
        with altered_layouts(rewritten.alter):
            mod = _run(alter, mod)
        mod = with_spans(mod, rewritten.origin)
        for step in [*rest, relay.transform.InferType()]:
            mod = _run(step, mod)
        return mod


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let TVM compute constants on this thread alone.

    It would start a pool of threads for each thread that computes any, which spin after their work, for minutes if
    their core is busy, and so disturb what is measured meanwhile.
    """
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before


def _keeps_layouts(step: tvm.transform.Pass) -> bool:
    return str(step.info.name) != "AlterOpLayout"


def _run(step: tvm.transform.Pass, mod: tvm.IRModule) -> tvm.IRModule:
    try:
        return tvm.transform.Sequential([replaced(step)])(mod)
    except (RuntimeError, ValueError, NotImplementedError, AssertionError) as error:  # what TVM's own code raises
        reason = meaningful_lines(f"{type(error).__name__}: {error}")
        raise UnsupportedModelError(
            f"TVM's pass {step.info.name} fails on this model: {reason}; choose another target, or change this operator"
        ) from error


def prefix_passes() -> list[tvm.transform.Pass]:
    """TVM's own passes before device planning, for one target and the graph executor, in order."""
    prefix = tvm.get_global_func("relay.backend.GetPassPrefixSeq")(True, False)
    return list(prefix.passes)


def replaced(step: tvm.transform.Pass) -> tvm.transform.Pass:
    """Our pass in the place of one of TVM's, by its name, with its level and its requirements; or that pass itself."""
    name, level, required = str(step.info.name), int(step.info.opt_level), list(step.info.required)
    if isinstance(step, tvm.transform.Sequential):
        return tvm.transform.Sequential([replaced(part) for part in step.passes], level, name, required)
    if name not in _OURS:
        return step

    def run(mod: tvm.IRModule, context: tvm.transform.PassContext) -> tvm.IRModule:
        try:
            done = _OURS[name](mod, step)
        except NotPlainError:
            done = None
        return step(mod) if done is None else done

    return tvm.transform.module_pass(run, level, name, required)


#: What gives the same result as the pass of that name, on a type-inferred module; or None where that pass must run.
_OURS: dict[str, Callable[[tvm.IRModule, tvm.transform.Pass], tvm.IRModule | None]] = {
    "FoldConstant": lambda mod, step: fold_constants(mod),
    "EliminateCommonSubexpr": lambda mod, step: None if has_common_subexpressions(mod) else mod,
    "SimplifyExpr": functools.partial(simplify, after_layout=False),
    "SimplifyExprPostAlterOp": functools.partial(simplify, after_layout=True),
}
