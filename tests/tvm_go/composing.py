"""Random plans of small models: variants, kernels and lowerings; and what a child process does with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

import tvm_go
from cost_model.child import ChildProcess
from cost_model.lowering import compile_functions, forget_lowered, lower_primitive
from relay_passes.apply import kernel_function
from relay_passes.prepare import prepare_base
from relay_passes.targets import as_target, build_scopes
from relay_passes.variants import options
from tvm_go import GraphPlan
from tvm_go.errors import UnsupportedModelError
from tvm_go.kernels import Kernel, describe, free_kernels, members, returned_values
from tvm_go.legalize import check_partition, legalize, te_takes
from tvm_go.lowering import TE, TIR, Lowering
from tvm_go.model import Model
from tvm_go.rules import rule_set

Array = npt.NDArray[Any]
TIMEOUT_S = 120.0


class NoLoweringError(Exception):
    """TVM builds a kernel of a plan by none of its lowerings, not even alone."""


@dataclass(frozen=True)
class Composer:
    """Makes random plans for one target; a child process tries what builds."""

    target: str
    child: ChildProcess

    def plan(self, mod: tvm.IRModule, rng: np.random.Generator) -> GraphPlan:
        """A random plan all of whose kernels build alone.

        Raises
        ------
        NoLoweringError
            A kernel does not build.
        UnsupportedModelError
            TVM cannot prepare the model.
        """
        target = as_target(self.target)
        base = prepare_base(mod, target=target)
        names = [str(rng.choice(applying)) for applying in options(base, target)]
        try:
            model = Model.with_variants(base, names, target)
        except UnsupportedModelError as error:
            Model.with_variants(base, None, target)  # what fails here is no fault of a variant
            raise AssertionError(f"TVM prepares the model, and not with the variants {names}\n{mod}") from error
        rules = str(rng.choice(["tvm", "wide", "open"]))
        priority = rng.integers(1, 5, size=model.graph.num_edges)
        priority[rng.random(model.graph.num_edges) < 0.7 * rng.random()] = 0
        kernel = legalize(model.graph, priority, rule_set(rules))
        check_partition(model.graph, kernel, rule_set(rules))
        return model.plan(kernel, rules, self._lowering(model, kernel, rng))

    def _lowering(self, model: Model, kernel: npt.NDArray[np.int32], rng: np.random.Generator) -> list[Lowering]:
        starts, ops = members(kernel)
        free, returned = free_kernels(model.graph, kernel), returned_values(model.graph, kernel)
        chosen = []
        for number in range(len(starts) - 1):
            inside = ops[starts[number] : starts[number + 1]]
            if free[number] or model.graph.fixed[inside[0]]:
                chosen.append(TE)
                continue
            candidates = [TE, TIR] if te_takes(model.graph, inside.tolist()) else [TIR]
            order = [candidates[i] for i in rng.permutation(len(candidates))]
            chosen.append(self._first_that_builds(model, describe(model.graph, inside, returned), order))
        return chosen

    def _first_that_builds(self, model: Model, kernel: Kernel, candidates: Sequence[Lowering]) -> Lowering:
        function = tvm.IRModule.from_expr(kernel_function(model.flow, model.graph, kernel))
        text = tvm.ir.save_json(relay.transform.InferType()(function)["main"])
        reason = ""
        for lowering in candidates:
            reason = self._why_not(text, lowering)
            if not reason:
                return lowering
        names = "+".join(model.graph.name(op) for op in kernel.ops)
        raise NoLoweringError(f"{names} by {', '.join(one.to_text() for one in candidates)}: {reason[-1000:]}")

    def _why_not(self, function_json: str, lowering: Lowering) -> str:
        try:
            self.child.call(build_alone, function_json, self.target, lowering.to_text(), timeout_s=TIMEOUT_S)
        except Exception as error:  # TVM raises all kinds
            return str(error) or repr(error)
        return ""


def build_alone(function_json: str, target_text: str, lowering: str) -> None:
    """Runs in the child: schedule one kernel and generate its code."""
    target = as_target(target_text)
    with build_scopes(target):
        function = tvm.ir.load_json(function_json)
        func = lower_primitive(function, target, "kernel", Lowering.from_text(lowering))
        compile_functions({"kernel": func}, target)
    forget_lowered()


def planned_outputs(mod_json: str, plan_json: str, inputs: dict[str, Array]) -> list[Array]:
    """Runs in the child: what a model gives when it is built by a plan."""
    plan = GraphPlan.from_json(json.loads(plan_json))
    return _outputs(tvm_go.build(tvm.ir.load_json(mod_json), plan=plan), inputs)


def plain_outputs(mod_json: str, inputs: Sequence[dict[str, Array]]) -> list[list[Array]]:
    """Runs in the child: what a model gives without any optimisation, for each set of inputs."""
    with tvm.transform.PassContext(opt_level=0):
        library = relay.build(tvm.ir.load_json(mod_json), "llvm -opt-level=0")
    return [_outputs(library, one) for one in inputs]


def _outputs(library: Any, inputs: dict[str, Array]) -> list[Array]:
    executor = GraphModule(library["default"](tvm.cpu()))
    executor.run(**inputs)
    return [executor.get_output(i).numpy() for i in range(executor.get_num_outputs())]
