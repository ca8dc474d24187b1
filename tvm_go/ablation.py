"""What each kind of decision adds to a plan: the plan built again with that kind reset to TVM's default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cost_model.measure import Measurer
from cost_model.oracle import KernelOracle
from cost_model.whole_model import WholeBuild, compare_whole
from relay_passes.target_set import TargetSet
from tvm_go.by_rule import lowerings_by_rule
from tvm_go.graph import Int32
from tvm_go.kernels import kernel_keys, members
from tvm_go.legalize import execution_order, te_takes
from tvm_go.lowering import TE
from tvm_go.model import Model
from tvm_go.plan import GraphPlan


def gains(default: Model, model: Model, plan: GraphPlan, oracle: KernelOracle, measurer: Measurer) -> dict[str, float]:
    """Time without each kind of decision over time with it, whole builds in turns.

    Kinds that the plan leaves at TVM's default are left out, as are those without which it does not build.
    """
    found = {}
    for name, build in ablated_builds(default, model, plan, oracle).items():
        outcome = compare_whole(
            model.build_of(plan),
            build,
            targets=TargetSet.parse(plan.target),
            connection=measurer.connection,
            most_loads=2,
        )
        if outcome.verification is not None:
            found[name] = 1.0 / outcome.verification.timing.ratio
    return found


def ablated_builds(default: Model, model: Model, plan: GraphPlan, oracle: KernelOracle) -> dict[str, WholeBuild]:
    """The plan with each kind of decision reset, by kind; only kinds that it decides."""
    builds: dict[str, WholeBuild] = {}
    if plan.variants:
        builds["variants"] = _by_fuse_ops(default, oracle)
    if any(lowering != TE for lowering in plan.lowering):
        kernel = _te_partition(model, plan.kernel)
        builds["lowering"] = model.build_of(replace(plan, kernel=kernel, lowering=()))
    if any(lowering.is_tuned for lowering in plan.lowering):
        untuned = tuple(
            oracle.best_lowering(key, tuned=False) if lowering.is_tuned else lowering
            for key, lowering in zip(kernel_keys(model.graph, plan.kernel), plan.lowering, strict=True)
        )
        builds["kernel tuning"] = model.build_of(replace(plan, lowering=untuned))
    if not np.array_equal(plan.kernel, model.default):
        builds["fusion"] = _by_fuse_ops(model, oracle)
    return builds


def _by_fuse_ops(model: Model, oracle: KernelOracle) -> WholeBuild:
    """FuseOps' kernels, each in the best lowering that is known, else by rule."""
    keys = kernel_keys(model.graph, model.default)
    by_rule = lowerings_by_rule(model.graph, model.default, keys, oracle.tuned)
    pairs = zip(keys, by_rule, strict=True)
    lowering = [oracle.best_lowering(key) if oracle.knows(key) else ruled for key, ruled in pairs]
    return WholeBuild(model.mod, model.flow, model.graph, model.default, lowering)


def _te_partition(model: Model, kernel: Int32) -> Int32:
    """The partition with kernels that TE does not take divided as FuseOps would."""
    starts, ops = members(kernel)
    divided = np.zeros(len(kernel), dtype=np.int64)
    for number in range(len(starts) - 1):
        inside = ops[starts[number] : starts[number + 1]]
        if not te_takes(model.graph, inside.tolist()):
            divided[inside] = model.default[inside] + 1
    pairs = np.stack([kernel.astype(np.int64), divided], axis=1)
    numbers = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
    return execution_order(model.graph, numbers)
