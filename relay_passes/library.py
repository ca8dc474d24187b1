"""Build a whole model by a plan, in a process of its own: modules go there as files, libraries come back as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm import relay
from tvm.contrib import graph_executor

from relay_passes.apply import regroup
from relay_passes.back_ends import check_back_end
from relay_passes.dataflow import Dataflow, with_main
from relay_passes.error_text import meaningful_lines
from relay_passes.export import export_library
from relay_passes.lowering import lowering_scope, pass_config, planned_chooser
from relay_passes.stack import with_deep_stack
from relay_passes.targets import build_scopes
from tvm_go.errors import PlanError
from tvm_go.graph import Int32, OpGraph
from tvm_go.lowering import Lowering

#: Passes of the prefix that `prepare` has run, and that go into primitive functions. Run again they would undo variants
#: (AlterOpLayout), merge equal ops that a kernel was measured with, or change a kernel so that its lowering is lost.
ONCE = (
    "AlterOpLayout",
    "SimplifyExpr",
    "SimplifyExprPostAlterOp",
    "EliminateCommonSubexpr",
    "FoldScaleAxis",
    "ForwardFoldScaleAxis",
    "BackwardFoldScaleAxis",
    "CanonicalizeOps",
    "CanonicalizeCast",
)

_MODULE, _WEIGHTS = "module.json", "weights.params"
_CODE, _GRAPH, _PARAMS = "library.so", "graph.json", "graph.params"


def build_module(mod: tvm.IRModule, target: tvm.target.Target | Sequence[tvm.target.Target], **options: Any) -> Any:
    """`relay.build` at opt level 3, for graphs of any depth and marked lowerings; ``options`` go to `relay.build`.

    The module is prepared: passes that rewrite ops, and would do so inside kernels as well, stay away (`ONCE`).

    Parameters
    ----------
    mod : tvm.IRModule
        Prepared and regrouped.
    target : tvm.target.Target or sequence of such
        Of the one device, or of each device that kernels may be placed on, the CPU's first.

    Raises
    ------
    PlanError
        If a lowering is not asked for, or TVM has no code for a kernel on its device.
    """
    host, *others = [target] if isinstance(target, tvm.target.Target) else target
    for one in (host, *others):
        check_back_end(one)

    def build() -> Any:
        if not others:
            return relay.build(mod, host, **options)
        try:
            return relay.build(mod, [host, *others], **options)
        except Exception as error:  # TVM raises all kinds where it has no schedule for a device
            kinds = ", ".join(str(one.kind.name) for one in (host, *others))
            reason = meaningful_lines(f"{type(error).__name__}: {error}")
            raise PlanError(
                f"TVM does not build the plan's kernels where they are placed ({kinds}): {reason}; "
                f"place kernels of this kind on {host.kind.name}"
            ) from error

    def body() -> Any:
        with build_scopes(host, *others), tvm.transform.PassContext(opt_level=3, disabled_pass=list(ONCE)):
            chooser = planned_chooser(mod, [host, *others])
            if chooser is None:
                return build()
            with pass_config(), lowering_scope(chooser):
                built = build()
            chooser.check()
            return built

    return with_deep_stack(body)


def write_module(
    mod: tvm.IRModule,
    flow: Dataflow,
    graph: OpGraph,
    kernel: Int32,
    folder: Path,
    lowering: Sequence[Lowering] = (),
    *,
    device: Int32 | None = None,
    devices: Sequence[str] = ("cpu",),
) -> None:
    """Write a model, regrouped by a partition, for :func:`build_in_folder`: Relay without weights, and the weights.

    Parameters
    ----------
    mod : tvm.IRModule
        Prepared; ``flow`` and ``graph`` were read from it.
    kernel : int32 [N]
        Kernel of each op, in execution order.
    lowering : sequence of Lowering
        Of each kernel; empty for ``te`` throughout.
    device : int32 [K], optional
        Device of each kernel, as an index into ``devices``; None or empty for the first throughout.
    devices : sequence of str
        TVM's names of the devices, in the order of the targets that it will be built for.
    """
    weights: dict[str, tvm.nd.NDArray] = {}
    main = regroup(flow, graph, kernel, lowering, device=device, devices=devices, weights=weights)
    text = with_deep_stack(lambda: tvm.ir.save_json(relay.transform.InferType()(with_main(mod, main))))
    (folder / _MODULE).write_text(text, encoding="utf-8")
    (folder / _WEIGHTS).write_bytes(relay.save_param_dict(weights))


def build_in_folder(folder: str, *target_jsons: str) -> list[str]:
    """Build what :func:`write_module` wrote, and leave library, graph and parameters beside it.

    Meant to run in a child process: takes and returns plain data only.

    Parameters
    ----------
    *target_jsons : str
        The target of each device, as ``tvm.ir.save_json`` writes it.

    Returns
    -------
    list of str
        Names of the kernels in the order in which they run.
    """
    place = Path(folder)
    mod = with_deep_stack(lambda: tvm.ir.load_json((place / _MODULE).read_text(encoding="utf-8")))
    weights = relay.load_param_dict((place / _WEIGHTS).read_bytes())
    targets = [tvm.ir.load_json(text) for text in target_jsons]
    factory = build_module(mod, targets, params=weights)
    write_built(factory, place, targets[0])
    return kernel_names(factory.get_graph_json())


def write_built(factory: Any, folder: Path, host: tvm.target.Target) -> None:
    """Leave what `relay.build` made in a folder, for :func:`loader_on`."""
    export_library(factory.get_lib(), folder / _CODE, host)
    (folder / _GRAPH).write_text(factory.get_graph_json(), encoding="utf-8")
    (folder / _PARAMS).write_bytes(relay.save_param_dict(factory.get_params()))


def kernel_names(graph_json: str) -> list[str]:
    """Functions that a graph executor calls, in order; views (``__nop``) and copies (``__copy``) left out."""
    calls = [node["attrs"]["func_name"] for node in json.loads(graph_json)["nodes"] if node["op"] == "tvm_op"]
    return [name for name in calls if name not in ("__nop", "__copy")]


def upload(session: Any, folder: Path, name: str) -> tuple[tvm.runtime.Module, str]:
    """Upload a built library under a file name; the library there, and the graph as JSON."""
    session.upload(str(folder / _CODE), name)
    return session.load_module(name), (folder / _GRAPH).read_text(encoding="utf-8")


def loader_on(session: Any, folder: Path, device: Any, name: str) -> Callable[[], graph_executor.GraphModule]:
    """Upload a built library under a file name; what is returned makes a fresh graph executor each time.

    Parameters
    ----------
    device : tvm.runtime.Device or list of such
        Of the session, in the order of the targets of the build.
    """
    library, graph = upload(session, folder, name)
    params = (folder / _PARAMS).read_bytes()

    def load() -> graph_executor.GraphModule:
        executor = graph_executor.create(graph, library, device)
        executor.load_params(params)
        return executor

    return load
