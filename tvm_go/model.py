"""A model on one target, in all the forms that the stages of tuning need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relay

from cost_model.whole_model import WholeBuild
from relay_passes.apply import apply
from relay_passes.dataflow import Dataflow, read
from relay_passes.extract import to_graph
from relay_passes.fuse_ops import default_partition
from relay_passes.prepare import finish, prepare_base
from relay_passes.target_set import TargetSet
from relay_passes.variants import DEFAULT
from tvm_go.graph import Int32, OpGraph
from tvm_go.kernels import describe, members, returned_values
from tvm_go.lowering import TE, Lowering
from tvm_go.plan import GraphPlan


@dataclass(frozen=True)
class Model:
    """A prepared model with its ops in given forms.

    Attributes
    ----------
    mod : tvm.IRModule
        Prepared; ``flow`` and ``graph`` were read from it.
    default : int32 [N]
        FuseOps' partition.
    variants : dict of int to str
        Forms of base ops that are not TVM's own.
    """

    mod: tvm.IRModule
    flow: Dataflow
    graph: OpGraph
    default: Int32
    target: tvm.target.Target
    variants: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def prepare(
        mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None, target: tvm.target.Target
    ) -> Model:
        """Run TVM's passes before fusion, read the graph, and find FuseOps' partition."""
        return Model.with_variants(prepare_base(mod, params, target=target), None, target)

    @staticmethod
    def with_variants(base: tvm.IRModule, names: Sequence[str] | None, target: tvm.target.Target) -> Model:
        """Give the ops of a base module their forms; None leaves all to TVM."""
        chosen = {op: name for op, name in enumerate(names or ()) if name != DEFAULT}
        return Model._of(finish(base, target=target, variants=names), target, chosen)

    @staticmethod
    def of_plan(mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None, plan: GraphPlan) -> Model:
        """A model in the forms of a plan.

        Raises
        ------
        PlanError
            If the plan is for another model.
        """
        model = Model._of(_in_forms(mod, params, plan), TargetSet.parse(plan.target).host, plan.variants)
        plan.check(model.graph)
        return model

    @staticmethod
    def _of(prepared: tvm.IRModule, target: tvm.target.Target, variants: dict[int, str]) -> Model:
        flow = read(prepared)
        return Model(prepared, flow, to_graph(flow), default_partition(prepared, target=target), target, variants)

    def plan(self, kernel: Int32, rules: str, lowering: Sequence[Lowering] = (), **provenance: Any) -> GraphPlan:
        """A partition as a plan for this model."""
        return GraphPlan(
            kernel,
            rules,
            self.graph.structural_hash,
            str(self.target),
            provenance,
            tuple(lowering) if any(one != TE for one in lowering) else (),
            self.variants,
        )

    def build_of(self, plan: GraphPlan) -> WholeBuild:
        """What to build for a plan of this model."""
        return WholeBuild(self.mod, self.flow, self.graph, plan.kernel, plan.lowering, plan.device)

    def kernels_of(self, kernel: Int32, keys: Sequence[str]) -> dict[str, Any]:
        """One kernel of each structure in a partition, by key; those without a key are left out."""
        starts, ops = members(kernel)
        returned = returned_values(self.graph, kernel)
        first = {key: number for number, key in reversed(list(enumerate(keys))) if key}
        return {key: describe(self.graph, ops[starts[n] : starts[n + 1]], returned) for key, n in first.items()}


def planned(mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None, plan: GraphPlan) -> tvm.IRModule:
    """A model's module in the forms and kernels of a plan, ready for `relay_passes.library.build_module`.

    Raises
    ------
    PlanError
        If the plan is for another model.
    """
    return apply(_in_forms(mod, params, plan), plan)


def _in_forms(mod: tvm.IRModule | relay.Function, params: Mapping[str, Any] | None, plan: GraphPlan) -> tvm.IRModule:
    target = TargetSet.parse(plan.target).host
    base = prepare_base(mod, params, target=target)
    names = plan.variants_of(len(read(base).calls)) if plan.variants else None
    return finish(base, target=target, variants=names)
