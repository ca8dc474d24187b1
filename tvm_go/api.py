"""The Python API: tune a module, build it by a plan, or by the best plan of a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relay

from cost_model.config import MeasureConfig, RpcConfig
from relay_passes.library import build_module
from relay_passes.stack import with_deep_stack
from relay_passes.target_set import TargetSet
from tvm_go.apply_best import ApplyBest
from tvm_go.callbacks import TuneCallbacks
from tvm_go.errors import PlanError, UsageError
from tvm_go.model import planned
from tvm_go.plan import GraphPlan
from tvm_go.tuning import TASKS, tune_graph

if TYPE_CHECKING:  # it brings torch and DGL, which only one strategy needs
    from tvm_go.policy import Checkpoint


def tune(
    mod: tvm.IRModule | relay.Function,
    params: Mapping[str, Any] | None = None,
    *,
    target: str | tvm.target.Target = "native",
    log: str | Path | None = None,
    budget: int = 200,
    seconds: float = float("inf"),
    strategy: str = "annealing",
    policy: str | Path | Checkpoint | None = None,
    rules: str = "open",
    seed: int = 0,
    decide: Sequence[str] = TASKS,
    kernel_trials: int = 0,
    shipped_records: bool = True,
    extra_records: str | Path | None = None,
    cost_model: str | Path | None = None,
    placement: str = "portfolio",
    rpc: RpcConfig | None = None,
    measure: MeasureConfig | None = None,
    name: str = "model",
    ablate: bool = False,
    callbacks: TuneCallbacks | None = None,
) -> GraphPlan:
    """Find a plan for a model: which of its ops form one kernel.

    The plan that is returned was built whole, run on the target, gave the numbers of TVM's default build on the same
    inputs, and was faster beyond noise; otherwise the default plan is returned, and ``plan.provenance["verdict"]``
    says why.

    Parameters
    ----------
    mod, params
        The model, as for `relay.build`.
    target
        TVM target, or a target set such as ``cpu=native, opencl=opencl``; ``native`` is this machine's CPU.
    log
        Tuning log: what stands in it is not measured again, what is measured is appended. None keeps nothing.
    budget
        Distinct kernels that the search may ask for, be they measured or in the log; up to half of them to choose
        variants. The default plan's own kernels are always measured, unless it is 0: then variants and lowerings are
        chosen by rule, and only the plan as a whole is measured.
    seconds
        Time limit of the search and of kernel tuning together.
    strategy
        One of ``tvm_go.search.STRATEGIES``.
    policy
        For the strategy ``go``: a policy that :func:`tvm_go.train` trained for fusion, or its file, instead of the one
        that comes with the package.
    rules
        Rule set of the legaliser: ``tvm``, ``wide`` or ``open``.
    seed
        Same seed, same log: same plan.
    decide
        What the plan decides, of ``variants``, ``lowering`` and ``fusion``; the others stay as TVM has them.
    kernel_trials
        Schedules to try for the kernels of the plan that promise most, beyond those that rules give.
    shipped_records
        Whether to try the tuned kernels that come with the package, where they are for such a CPU.
    extra_records
        A tuning log whose tuned kernels are tried too; it must be of such a CPU.
    cost_model
        A file of :meth:`cost_model.regressor.CostModel.save`, or ``shipped`` for the one that comes with the package:
        kernels are predicted, and measured only in plans that may be the best. None measures every kernel.
    placement
        How the kernels of a target set are placed on its devices: one of ``tvm_go.search.placement.STRATEGIES``.
    rpc
        An existing RPC tracker; None starts a tracker and a server on this machine.
    measure
        How to build and time kernels.
    name
        Name of the model in the log.
    ablate
        Measure as well what each kind of decision adds to a faster plan (``plan.provenance["gains"]``).
    callbacks
        Told of stages, kernels, progress and plans; see :class:`tvm_go.callbacks.TuneCallbacks`.

    Returns
    -------
    GraphPlan

    Raises
    ------
    UsageError, UnsupportedModelError, MeasureError, LogError
        See :mod:`tvm_go.errors`.

    Examples
    --------
    >>> model = tvmc.load("small.onnx")
    >>> plan = tvm_go.tune(model.mod, model.params, log="log.jsonl", budget=10)
    >>> plan.provenance["verdict"] in ("faster", "same", "slower", "default")
    True
    >>> plan.save("plan.json")
    """
    return tune_graph(
        mod,
        params,
        target=target,
        log=log,
        budget=budget,
        seconds=seconds,
        strategy_name=strategy,
        policy=policy,
        rules=rules,
        seed=seed,
        decide=decide,
        kernel_trials=kernel_trials,
        shipped_records=shipped_records,
        extra_records=extra_records,
        cost_model=cost_model,
        placement=placement,
        rpc=rpc,
        measure=measure,
        name=name,
        ablate=ablate,
        callbacks=callbacks,
    ).plan


def build(
    mod: tvm.IRModule | relay.Function,
    params: Mapping[str, Any] | None = None,
    *,
    target: str | tvm.target.Target | None = None,
    plan: GraphPlan | None = None,
    **options: Any,
) -> Any:
    """Build a model by a plan, as `relay.build` does at opt level 3.

    Parameters
    ----------
    mod, params
        The model that the plan was made for.
    target
        TVM target, or a target set. None takes the plan's; with :class:`ApplyBest`, this machine's CPU.
    plan
        From :func:`tune` or :meth:`GraphPlan.load`. None takes the best of the log of the :class:`ApplyBest` that is
        entered, and TVM's default where that has none.
    **options
        Passed to `relay.build` (``executor``, ``runtime``, ``mod_name``).

    Returns
    -------
    tvm.relay.backend.executor_factory.ExecutorFactoryModule

    Raises
    ------
    PlanError
        If the plan is for another model or target.
    UsageError
        If there is neither a plan nor a log to take it from.

    Examples
    --------
    >>> library = tvm_go.build(mod, params, plan=tvm_go.GraphPlan.load("plan.json"))
    >>> executor = tvm.contrib.graph_executor.GraphModule(library["default"](tvm.cpu()))
    >>> executor.run(x=numpy.ones((1, 3, 24, 24), "float32"))
    >>> executor.get_output(0).shape
    (1, 10)
    """
    if plan is None:
        best = ApplyBest.current()
        if best is None:
            raise UsageError("there is no plan to build by: give plan=..., or enter tvm_go.ApplyBest('log.jsonl')")
        devices = TargetSet.parse("native" if target is None else target)
        plan = best.plan(mod, params, devices)
        if plan is None:
            return _default_build(mod, params, devices.host, options)
    devices = TargetSet.parse(plan.target if target is None else target)
    if devices.text != plan.target:
        raise PlanError(f"the plan is for target '{plan.target}', not '{devices.text}': tune for this target")
    used = devices.targets if plan.device.any() else devices.targets[:1]
    return build_module(planned(mod, params, plan), used, **options)


def _default_build(
    mod: tvm.IRModule | relay.Function,
    params: Mapping[str, Any] | None,
    target: tvm.target.Target,
    options: Mapping[str, Any],
) -> Any:
    def body() -> Any:
        with tvm.transform.PassContext(opt_level=3):
            return relay.build(mod, target, params=params, **options)

    return with_deep_stack(body)
