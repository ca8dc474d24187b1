"""A whole plan on the target: built and run in child processes, compared with TVM's default build and timed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tvm

from cost_model.child import ChildFailure, ChildProcess
from cost_model.kernel_inputs import InputRange, TensorSpec, input_range, random_inputs
from cost_model.lowering import tensor_specs
from cost_model.rpc import RpcAddress, RpcConnection, close_session, open_session
from relay_passes.dataflow import Dataflow
from relay_passes.error_text import meaningful_lines
from relay_passes.library import build_in_folder, loader_on, write_module
from relay_passes.stack import with_deep_stack
from relay_passes.target_set import TargetSet
from relay_passes.verify import MOST_LOADS, Verification, verify
from tvm_go.graph import Int32, OpGraph
from tvm_go.lowering import Lowering

_BUILD_TIMEOUT_S = 900.0
_RUN_TIMEOUT_S = 900.0  # half a gigabyte of weights takes minutes to get to a server


@dataclass(frozen=True)
class WholeOutcome:
    """What became of a plan.

    Attributes
    ----------
    verification : Verification or None
        None if it could not be built or run.
    error : str
        Why not.
    default_failed : bool
        Whether it was the default build that failed: then nothing can be said of any plan.
    kernels : tuple of int
        Kernels that run in the default build and in the plan's (views do not).
    """

    verification: Verification | None
    error: str = ""
    default_failed: bool = False
    kernels: tuple[int, int] = (0, 0)
    build_s: float = 0.0
    run_s: float = 0.0


@dataclass(frozen=True)
class WholeBuild:
    """A model to build: its prepared module, and its kernels.

    Attributes
    ----------
    mod : tvm.IRModule
        Prepared; ``flow`` and ``graph`` were read from it.
    kernel : int32 [N]
        Kernel of each op.
    lowering : sequence of Lowering [K]
        Of each kernel; empty for ``te`` throughout.
    device : int32 [K]
        Of each kernel, as an index into the target set; empty for the host throughout.
    """

    mod: tvm.IRModule
    flow: Dataflow
    graph: OpGraph
    kernel: Int32
    lowering: Sequence[Lowering] = ()
    device: Int32 = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    @property
    def on_host(self) -> bool:
        """Whether all kernels are on the host: then it is built and run as for the host alone."""
        return not self.device.any()


def compare_whole(
    default: WholeBuild,
    plan: WholeBuild,
    *,
    targets: TargetSet,
    connection: RpcConnection,
    most_loads: int = MOST_LOADS,
) -> WholeOutcome:
    """Build the default and another plan of a model, run both on the same inputs over RPC, and time them in turns.

    The default is built from the prepared module, whose kernels are those of `relay.build` member for member.
    """
    with tempfile.TemporaryDirectory(prefix="tvm-go-whole-") as root:
        folders = [Path(root) / name for name in ("default", "plan")]
        for folder, build in zip(folders, (default, plan), strict=True):
            folder.mkdir()
            devices = _devices_of(build, targets)
            write_module(
                build.mod,
                build.flow,
                build.graph,
                build.kernel,
                folder,
                build.lowering,
                device=build.device,
                devices=devices,
            )
        children = [ChildProcess(name=f"build-{folder.name}", work_dir=Path(root)) for folder in folders]
        try:
            start = time.perf_counter()
            jsons = [tvm.ir.save_json(target) for target in targets.targets]
            wanted = [jsons[: len(_devices_of(build, targets))] for build in (default, plan)]
            built = _build_both(children, folders, wanted)
            build_s = time.perf_counter() - start
            for names, failed in zip(built, (True, False), strict=True):
                if isinstance(names, str):
                    return WholeOutcome(None, names, default_failed=failed, build_s=build_s)
            sizes = tuple(len(names) for names in built)
            connection.check(patient=True)
            start = time.perf_counter()
            try:
                verification = children[0].call(
                    _verify_on,
                    connection.address(),
                    [
                        (str(folder), _devices_of(one, targets))
                        for folder, one in zip(folders, (default, plan), strict=True)
                    ],
                    _inputs(default.mod, default.flow, default.graph.structural_hash),
                    most_loads,
                    timeout_s=_RUN_TIMEOUT_S,
                )
            except (ChildFailure, tvm.TVMError, RuntimeError) as error:
                connection.abort_session()
                return WholeOutcome(None, f"running the whole model: {meaningful_lines(str(error))}", build_s=build_s)
            return WholeOutcome(
                verification, kernels=(sizes[0], sizes[1]), build_s=build_s, run_s=time.perf_counter() - start
            )
        finally:
            for child in children:
                child.close()


@dataclass(frozen=True)
class _Inputs:
    """What the inputs of a model are drawn from."""

    names: tuple[str, ...]
    specs: tuple[TensorSpec, ...]
    values: InputRange
    key: str


def _inputs(mod: tvm.IRModule, flow: Dataflow, key: str) -> _Inputs:
    params = flow.function.params
    return _Inputs(
        names=tuple(str(param.name_hint) for param in params),
        specs=tuple(spec for param in params for spec in tensor_specs(param.checked_type)),
        values=with_deep_stack(input_range, mod["main"]),
        key=key,
    )


def _devices_of(build: WholeBuild, targets: TargetSet) -> tuple[str, ...]:
    """The devices that a build needs."""
    return targets.names[:1] if build.on_host else targets.names


def _build_both(
    children: Sequence[ChildProcess], folders: Sequence[Path], target_jsons: Sequence[Sequence[str]]
) -> list[list[str] | str]:
    """Kernel names of each build, or why it failed; both at once."""

    def build(child: ChildProcess, folder: Path, jsons: Sequence[str]) -> list[str] | str:
        try:
            return child.call(build_in_folder, str(folder), *jsons, timeout_s=_BUILD_TIMEOUT_S)
        except Exception as error:
            return f"building the whole model: {meaningful_lines(str(error))}"

    with ThreadPoolExecutor(len(folders)) as pool:
        return list(pool.map(build, children, folders, target_jsons))


def _verify_on(
    address: RpcAddress, builds: Sequence[tuple[str, Sequence[str]]], given: _Inputs, most_loads: int
) -> Verification:
    """Runs in a child: load both builds, each a folder and its devices, on a server, compare and time them."""
    arrays = random_inputs(given.specs, given.values, given.key)
    session = open_session(address, session_timeout_s=_RUN_TIMEOUT_S)
    try:
        loads = []
        for number, (folder, names) in enumerate(builds):
            devices = [session.device(name, 0) for name in names]
            loads.append(loader_on(session, Path(folder), devices, f"whole_{number}.so"))
        inputs = dict(zip(given.names, arrays, strict=True))
        host = session.device(builds[0][1][0], 0)
        return verify(loads[0], loads[1], inputs, host, most_loads=most_loads)
    finally:
        close_session(session)
