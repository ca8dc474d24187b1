"""A kernel that is measured is the kernel that `relay.build` makes."""

from __future__ import annotations

import pytest
import tvm
from tvm import relay

from cost_model.lowering import lower_primitive
from relay_passes.targets import as_target, build_scopes
from tests.cost_model.kernels import add_relu, conv_add_relu, dense_add

FUNCTIONS = {
    "conv": conv_add_relu(),
    "dense": tvm.ir.load_json(dense_add(32).relay_json),
    "elementwise": tvm.ir.load_json(add_relu(32).relay_json),
}


def without_names(function: tvm.tir.PrimFunc) -> tvm.tir.PrimFunc:
    for attribute in ("global_symbol", "target", "hash"):
        if function.attrs is not None and attribute in function.attrs:
            function = function.without_attr(attribute)
    return function


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lowering_gives_the_tir_of_relay_build(name: str) -> None:
    function = FUNCTIONS[name]
    target = as_target("native")
    parameters = [relay.var(f"p{i}", type_annotation=p.checked_type) for i, p in enumerate(function.params)]
    module = tvm.IRModule.from_expr(relay.Function(parameters, relay.Call(function, parameters)))
    lowered: list[tvm.IRModule] = []

    @tvm.instrument.pass_instrument
    class AfterLowering:
        def run_after_pass(self, module: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
            if info.name == "LowerTE":
                lowered.append(module)

    config = {"tir.disable_cse_tir": True}  # as kernels are measured, and built by a plan
    with build_scopes(target), tvm.transform.PassContext(opt_level=3, instruments=[AfterLowering()], config=config):
        relay.build(module, target=target)
    with build_scopes(target):
        ours = lower_primitive(function, target, "kernel")
    theirs = [f for f in lowered[0].functions.values() if isinstance(f, tvm.tir.PrimFunc)]
    assert len(theirs) == 1
    tvm.ir.assert_structural_equal(without_names(ours), without_names(theirs[0]), map_free_vars=True)
