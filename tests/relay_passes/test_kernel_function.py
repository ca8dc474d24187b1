"""Kernel keys stand for code: kernels of one key have structurally equal primitive functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tvm

from relay_passes.apply import kernel_function
from tests.relay_passes.prepared import Prepared
from tvm_go.kernels import describe, kernel_keys, members, returned_values
from tvm_go.legalize import legalize
from tvm_go.rules import rule_set


@pytest.mark.parametrize("name", ["squeezenet", "bert2"])
def test_keys_are_equal_only_for_equal_functions(name: str, prepared: Callable[[str], Prepared]) -> None:
    model = prepared(name)
    functions: dict[str, tvm.relay.Function] = {}
    compared = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        priority = rng.integers(0, rng.integers(2, 6), size=model.graph.num_edges)
        kernel = legalize(model.graph, priority, rule_set(("tvm", "wide")[seed % 2]))
        starts, ops = members(kernel)
        returned = returned_values(model.graph, kernel)
        for key, (start, stop) in zip(kernel_keys(model.graph, kernel), itertools.pairwise(starts), strict=True):
            function = kernel_function(model.flow, model.graph, describe(model.graph, ops[start:stop], returned))
            if key in functions:
                assert tvm.ir.structural_equal(function, functions[key])
                compared += 1
            functions.setdefault(key, function)
    assert compared > 100
    by_hash = {tvm.ir.structural_hash(function) for function in functions.values()}
    assert len(by_hash) == len(functions)  # and different keys only for different functions
