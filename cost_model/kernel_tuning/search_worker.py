"""Generates candidates for kernels; runs inside a searcher, which may die of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import tvm
from tvm.meta_schedule.cost_model import CostModel
from tvm.relay.backend import te_compiler

from cost_model.kernel_tuning.tile_search import propose_tilings
from cost_model.kernel_tuning.trace_search import TraceSearch, cost_model
from cost_model.kernel_tuning.tunable import TuningConfig
from relay_passes.lowering import computation_of
from relay_passes.targets import build_scopes


@dataclass(frozen=True)
class Request:
    """Ask for candidates of one kernel in one kind of lowering.

    Attributes
    ----------
    key : str
        Of the kernel.
    kind : str
        Of ``Lowering``.
    relay_json : str
        As in ``KernelTask``.
    history : tuple of (str, float)
        Details known so far with their milliseconds; all of them, for this process may be new.
    """

    key: str
    kind: str
    relay_json: str
    target_json: str
    seed: int
    config: TuningConfig
    history: tuple[tuple[str, float], ...]


# Kept between the calls to one process.
_computations: dict[str, tvm.tir.PrimFunc | None] = {}
_searches: dict[str, TraceSearch] = {}
_models: dict[str, CostModel] = {}


def propose(request: Request) -> list[str]:
    """Details of lowerings to measure next; empty if there are no more."""
    target = tvm.ir.load_json(request.target_json)
    name = f"{request.key} {request.target_json} {request.seed}"
    if name not in _computations:
        _computations[name] = _computation(request.relay_json, target)
    func = _computations[name]
    if func is None:
        return []
    if request.kind == "tir":
        return propose_tilings(func, target, request.history, request.config.tilings)
    model = _models.setdefault(f"{request.target_json} {request.seed}", cost_model(request.seed, request.config))
    if name not in _searches:
        _searches[name] = TraceSearch(func, target, model, _seed_of(request), request.config)
    _searches[name].learn(request.history)
    return _searches[name].propose()


def _computation(relay_json: str, target: tvm.target.Target) -> tvm.tir.PrimFunc | None:
    """What the kernel computes, or None where TVM has no TIR for it without a schedule (``concatenate``, say)."""
    te_compiler.get().clear()
    try:
        with build_scopes(target):
            return computation_of(tvm.ir.load_json(relay_json), target)
    except tvm.TVMError:
        return None


def _seed_of(request: Request) -> int:
    text = (
        f"{request.key} {request.seed} {len(request.history)}"  # a search that goes on must not begin as it did before
    )
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little")
