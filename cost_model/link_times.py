"""Times of what lies between kernels on several devices: copies, and rows of kernels that do next to nothing.

Measured on the server by TVM's own graph executor, on models that do nothing else; so it is what a model pays.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import relay
from tvm.rpc.base import RPC_SESS_MASK

from cost_model.child import ChildFailure, ChildProcess
from cost_model.rpc import RpcAddress, RpcConnection, close_session, open_session
from relay_passes.dataflow import read
from relay_passes.error_text import meaningful_lines
from relay_passes.extract import to_graph
from relay_passes.library import build_in_folder, loader_on, upload, write_module
from relay_passes.target_set import TargetSet
from tvm_go.errors import MeasureError

SIZES = (1 << 12, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24)  # bytes
FEW, MANY = 1, 65  # kernels in a row: the difference has to stand out from what noise makes of one run
_TINY = 64  # bytes
_CALLS_MS = 4  # each time is the mean of as many calls as take this long
_REPEAT = 7
_BUILD_TIMEOUT_S = 120.0
_RUN_TIMEOUT_S = 120.0

Times = dict[str, tuple[float, ...]]
"""Milliseconds of single measurements, by name: ``copy cpu opencl 4096`` (bytes), ``row opencl 9`` (kernels)."""


def copy_name(source: str, target: str, num_bytes: int) -> str:
    """Name of a copy between two devices."""
    return f"copy {source} {target} {num_bytes}"


def row_name(device: str, kernels: int) -> str:
    """Name of a row of kernels on a device."""
    return f"row {device} {kernels}"


def measure_link_times(targets: TargetSet, connection: RpcConnection) -> Times:
    """Measure a target set on its server.

    Raises
    ------
    MeasureError
        A model that only copies does not build or run: the server lacks a device, or it is lost.
    """
    jsons = [tvm.ir.save_json(target) for target in targets.targets]
    with tempfile.TemporaryDirectory(prefix="tvm-go-links-") as root:
        child = ChildProcess(name="links", work_dir=Path(root))
        try:
            found: Times = {}
            for place in range(len(targets.names)):
                folders = [Path(root) / f"{place}-{name}" for name in ("few", "many", "copies")]
                for folder, sizes, kernels in zip(folders, ((_TINY,), (_TINY,), SIZES), (FEW, MANY, 1), strict=True):
                    folder.mkdir()
                    _write_chains(folder, targets.names, place, sizes, kernels)
                    child.call(build_in_folder, str(folder), *jsons, timeout_s=_BUILD_TIMEOUT_S)
                connection.check(patient=True)
                where = (connection.address(), targets.names, place, list(map(str, folders)))
                found |= child.call(_times_on, *where, timeout_s=_RUN_TIMEOUT_S)
            return found
        except (ChildFailure, tvm.TVMError, RuntimeError) as error:
            connection.abort_session()
            raise MeasureError(
                f"the devices {', '.join(targets.names)} cannot be measured together: {meaningful_lines(str(error))}; "
                "serve them by one 'tvm-go serve' whose runtime has them all"
            ) from error
        finally:
            child.close()


def _write_chains(folder: Path, names: Sequence[str], place: int, sizes: Sequence[int], kernels: int) -> None:
    """A model of chains: a host kernel, some kernels on a device, a host kernel; each op a kernel."""
    inputs = [relay.var(f"x{size}", shape=(size // 4,)) for size in sizes]
    results = []
    for value in inputs:
        for _ in range(kernels + 2):
            value = relay.add(value, relay.const(1.0))
        results.append(value)
    mod = relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(inputs, relay.Tuple(results))))
    flow = read(mod)
    graph = to_graph(flow)
    device = np.full(graph.num_ops, place, dtype=np.int32)
    within = np.arange(graph.num_ops) % (kernels + 2)
    device[(within == 0) | (within == kernels + 1)] = 0
    kernel = np.arange(graph.num_ops, dtype=np.int32)
    write_module(mod, flow, graph, kernel, folder, device=device, devices=names)


def _times_on(address: RpcAddress, names: Sequence[str], place: int, folders: Sequence[str]) -> Times:
    """Run what was built for one device: rows of few and of many kernels, and copies."""
    session = open_session(address, session_timeout_s=_RUN_TIMEOUT_S)
    try:
        devices = [session.device(name, 0) for name in names]
        found: Times = {}
        for number, (folder, kernels) in enumerate(zip(folders, (FEW, MANY), strict=False)):
            executor = loader_on(session, Path(folder), devices, f"row_{number}.so")()
            executor.run()
            clock = executor.module.time_evaluator("run", devices[0], number=1, repeat=_REPEAT, min_repeat_ms=_CALLS_MS)
            found[row_name(names[place], kernels)] = tuple(seconds * 1e3 for seconds in clock().results)
        return found | dict(_copies_on(session, names, Path(folders[2])))
    finally:
        close_session(session)


def _copies_on(session: Any, names: Sequence[str], folder: Path) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Time the copies of a model one by one, by the means of the executor for debugging."""
    library, graph_json = upload(session, folder, "copies.so")
    create = session.get_function("tvm.graph_executor_debug.create")
    types = [session.device(name, 0).device_type % RPC_SESS_MASK for name in names]
    executor = create(graph_json, library, *(part for kind in types for part in (kind, 0)))
    executor["run"]()
    time_node = executor["run_individual_node"]
    graph = json.loads(graph_json)
    rows, shapes, device_types = graph["node_row_ptr"], graph["attrs"]["shape"][1], graph["attrs"]["device_index"][1]
    for index, node in enumerate(graph["nodes"]):
        if node["op"] == "tvm_op" and node["attrs"]["func_name"] == "__copy":
            ends = [names[types.index(device_types[row])] for row in (rows[node["inputs"][0][0]], rows[index])]
            seconds = np.frombuffer(time_node(index, 1, _REPEAT, _CALLS_MS, 100, 0, 1), dtype=np.float64)
            yield copy_name(ends[0], ends[1], 4 * int(np.prod(shapes[rows[index]]))), tuple(seconds * 1e3)
