"""A model in several forms of its ops, as graphs to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tvm
from tvm import relay

from relay_passes.targets import takes_tir
from tvm_go.candidates import Candidates
from tvm_go.collect import RandomPlans
from tvm_go.graph import Int32, OpGraph

_TRIED = 9  # forms at random, for those asked for that differ


class Form(NamedTuple):
    """The graph of a model in some forms of its ops, and FuseOps' partition of it: int32 [N]."""

    graph: OpGraph
    default: Int32


def forms_of(
    mod: tvm.IRModule | relay.Function,
    params: Mapping[str, Any] | None,
    target: tvm.target.Target,
    *,
    more: int,
    seed: int,
) -> list[Form]:
    """A model in TVM's own forms, in those that our rules suggest, and in so many more at random; no two are equal.

    There are fewer where a few tries at random give none that differ.

    Raises
    ------
    UnsupportedModelError
        If TVM cannot prepare the model, or it holds what no plan can.
    """
    found: dict[str, Form] = {}
    for one in Candidates.prepare(mod, params, target, vary=True, known={}, by_tir=takes_tir(target)).models:
        found.setdefault(one.graph.structural_hash, Form(one.graph, one.default))
    wanted = len(found) + more
    for (one, _), _ in zip(RandomPlans(mod, params, target, seed) if more else (), range(_TRIED), strict=False):
        if len(found) < wanted:
            found.setdefault(one.graph.structural_hash, Form(one.graph, one.default))
    return list(found.values())
