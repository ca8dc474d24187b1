"""Small models whose kernels the tuning tests tune."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import tvm
from tvm import relay

from cost_model.kernel_tuning import TunableKernel
from cost_model.kernel_tuning.search_worker import Request
from relay_passes.targets import as_target
from tests.cost_model.kernels import parameter
from tvm_go.kernels import free_kernels, kernel_keys
from tvm_go.model import Model


def classifier() -> tvm.IRModule:
    """Two equal layers and a softmax."""
    x, w = parameter("x", 32, 96), parameter("w", 96, 96)
    hidden = relay.nn.relu(relay.nn.dense(x, w))
    hidden = relay.nn.relu(relay.nn.dense(hidden, w))
    return tvm.IRModule.from_expr(relay.Function([x, w], relay.nn.softmax(hidden)))


def prepared(mod: tvm.IRModule) -> Model:
    return Model.prepare(mod, None, as_target("native"))


def tunable_kernels(model: Model) -> list[TunableKernel]:
    """The kernels of FuseOps' partition."""
    keys = kernel_keys(model.graph, model.default)
    free = free_kernels(model.graph, model.default)
    counts = Counter(key for key, is_free in zip(keys, free, strict=True) if not is_free)
    kernels = model.kernels_of(model.default, keys)
    return [TunableKernel(key, kernels[key], model.flow, model.graph, count) for key, count in counts.items()]


def dying_search(kind: str) -> Callable[[Request], list[str]]:
    """A stand-in for `search_worker.propose` that dies of one kind of lowering. It is pickled by value, being local."""

    def propose(request: Request) -> list[str]:
        import importlib
        import os

        worker: Any = importlib.import_module("cost_model.kernel_tuning.search_worker")
        if request.kind == kind:
            os.abort()
        found: list[str] = worker.propose(request)
        return found

    return propose
