"""All variants by operator: which apply, and which one to take without measuring."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import tvm
from tvm.target.x86 import get_simd_32bit_lanes

from relay_passes.dataflow import Dataflow, read
from relay_passes.targets import as_target
from relay_passes.variants import convolution, matmul, winograd
from relay_passes.variants.variant import DEFAULT, Site, Variant
from tvm_go.errors import PlanError

VARIANTS: dict[str, tuple[Variant, ...]] = {
    "nn.batch_matmul": matmul.BATCH_MATMUL,
    "nn.dense": matmul.DENSE,
    "nn.conv2d": (*convolution.CONV2D, *winograd.CONV2D),
}
"""By operator. ``default``, which every op has, is not listed."""

_PLAIN = ("NCHW", "plain")  # of what TVM alters for x86: convolutions and dense

_PARALLEL_KEY: dict[str, Callable[[Site], str | None]] = {
    "nn.batch_matmul": matmul.parallel_key,
    "nn.dense": matmul.parallel_key,
    "nn.conv2d": convolution.parallel_key,
}

_SUGGEST: dict[str, Callable[[Site], str]] = {
    "nn.batch_matmul": matmul.suggest_batch_matmul,
    "nn.dense": matmul.suggest_dense,
    "nn.conv2d": convolution.suggest,
}

_SUGGEST_FOR_TIR: dict[str, Callable[[Site], str]] = {"nn.conv2d": winograd.suggest}
"""Of forms that are fast by the generic TIR schedule only; they come before others."""


def options(base: tvm.IRModule | Dataflow, target: str | tvm.target.Target) -> list[tuple[str, ...]]:
    """Variants that apply to each op.

    Parameters
    ----------
    base : tvm.IRModule or Dataflow
        From :func:`relay_passes.prepare.prepare_base`, or read from that.
    target : str or tvm.target.Target

    Returns
    -------
    list of tuple of str [N]
        By op of ``read(base).calls``; ``default`` is the first of each.
    """
    flow = base if isinstance(base, Dataflow) else read(base)
    names: list[tuple[str, ...]] = [(DEFAULT,)] * len(flow.calls)
    for site in sites(flow, target):
        variants = VARIANTS[site.call.op.name]
        names[site.op] = (DEFAULT, *(variant.name for variant in variants if variant.applies(site)))
    return names


def suggested(base: tvm.IRModule | Dataflow, target: str | tvm.target.Target, *, by_tir: bool = True) -> list[str]:
    """The variant of each op that is best by rule, without measuring.

    Parameters and length as for :func:`options`; ``by_tir`` says whether kernels may take the generic TIR schedule.
    Everything but ``llvm`` CPUs with x86 schedules keeps its default.
    """
    flow = base if isinstance(base, Dataflow) else read(base)
    names = [DEFAULT] * len(flow.calls)
    for site in sites(flow, target):
        rules = [_SUGGEST_FOR_TIR] * by_tir + [_SUGGEST]
        found = (rule[site.call.op.name](site) for rule in rules if site.lanes and site.call.op.name in rule)
        names[site.op] = next((name for name in found if name != DEFAULT), DEFAULT)
    return names


def plain(base: tvm.IRModule | Dataflow, target: str | tvm.target.Target) -> list[str]:
    """The forms in which front ends write ops, which the schedules for any device take.

    Parameters and length as for :func:`options`.
    """
    return [next((name for name in legal if name in _PLAIN), DEFAULT) for legal in options(base, target)]


def chosen(flow: Dataflow, target: tvm.target.Target, names: Sequence[str]) -> dict[int, tuple[Site, Variant]]:
    """The variants that ops shall take, by op; those left at their default are not listed.

    Raises
    ------
    PlanError
        If there are more or fewer names than ops, or one does not apply to its op.
    """
    if len(names) != len(flow.calls):
        raise PlanError(f"{len(names)} variants for a model of {len(flow.calls)} ops: give one name for each op")
    wanted = {op for op, name in enumerate(names) if name != DEFAULT}
    found: dict[int, tuple[Site, Variant]] = {}
    for site in sites(flow, target):
        if site.op in wanted:
            for variant in VARIANTS[site.call.op.name]:
                if variant.name == names[site.op] and variant.applies(site):
                    found[site.op] = site, variant
    for op in sorted(wanted - found.keys()):
        legal = ", ".join(options(flow, target)[op])
        raise PlanError(
            f"variant '{names[op]}' does not apply to op {op}, {flow.operators[op].name}, on this target; "
            f"it can be {legal}"
        )
    return found


def sites(flow: Dataflow, target: str | tvm.target.Target) -> Iterator[Site]:
    """The ops that have variants, in order."""
    lanes = vector_lanes(as_target(target))
    found = [
        Site(flow, op, lanes)
        for op, operator in enumerate(flow.operators)
        if operator.name in VARIANTS and not operator.is_function
    ]
    parallel = _parallel(found)
    for site in found:
        yield dataclasses.replace(site, parallel=parallel.get(site.op, ()))


def _parallel(found: list[Site]) -> dict[int, tuple[int, ...]]:
    """For ops that could be computed with others as one: all of them, in order."""
    readers: dict[tuple[str, object], list[Site]] = {}
    for site in found:
        readers.setdefault((site.call.op.name, site.flow.uses[site.op][0]), []).append(site)
    groups: dict[tuple[str, object, str], list[int]] = {}
    for (name, left), those in readers.items():
        for site in those if len(those) > 1 else ():
            key = _PARALLEL_KEY[name](site)
            if key is not None:
                groups.setdefault((name, left, key), []).append(site.op)
    return {op: tuple(group) for group in groups.values() if len(group) > 1 for op in group}


def vector_lanes(target: tvm.target.Target) -> int:
    """32-bit lanes of the target's vectors; 0 if it has other schedules than those for x86."""
    if target.kind.name != "llvm" or "cpu" not in target.keys or "arm_cpu" in target.keys:
        return 0
    with target:
        return int(get_simd_32bit_lanes())
