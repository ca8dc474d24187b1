"""Models on a CPU and an OpenCL device together: `python -m benchmarks.devices [MODEL...]`.

Each model is planned for both devices, with all cores and full vectors on the CPU's side and again with a CPU that is
slowed down (one thread, generic x86), where the choice is real. Every build is timed in turns with `relay.build` for
the CPU. Needs an OpenCL device here, such as PoCL's, and TVM's runtime with OpenCL (tools/opencl,
tools/build_opencl_runtime). Logs are kept: started again, it measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tvm
from rich.console import Console
from rich.table import Table
from tvm import relay

from benchmarks import zoo
from cost_model.child import ChildFailure, ChildProcess
from cost_model.rpc import RpcAddress, RpcConnection, close_session, open_session
from cost_model.whole_model import compare_whole
from relay_passes.dataflow import read
from relay_passes.export import export_library
from relay_passes.library import build_in_folder, loader_on, write_module
from relay_passes.prepare import prepare_base
from relay_passes.target_set import TargetSet
from relay_passes.variants import plain
from relay_passes.verify import verify
from tuning_logs import KernelRecord, PlanRecord, TuningLog
from tvm_go.kernels import kernel_keys
from tvm_go.lowering import TE, Lowering
from tvm_go.model import Model
from tvm_go.plan import GraphPlan
from tvm_go.tuning import tune_graph

MODELS = ("squeezenet", "shufflenet", "bert2", "vit_tiny", "lstm", "physics")
SETTINGS = {"full": ("cpu=native, opencl=opencl", None), "slow": ("cpu=llvm, opencl=opencl", "1")}
"""Target set, and how many threads TVM's CPU kernels have (None for all cores); OpenCL has all cores in both."""

_THREADS = "TVM_NUM_THREADS"
_TIMEOUT_S = 900.0
_COLUMNS = (
    "relay.build",
    "CPU plan",
    "all OpenCL",
    "relay.build, both",
    "our plan",
    "predicted",
    "copies",
    "on OpenCL",
)

Row = dict[str, float | str]


def measure(name: str, setting: str, folder: Path, budget: int) -> Row:
    """Plan a model for both devices and time all builds; milliseconds, or why there are none."""
    text, threads = SETTINGS[setting]
    if threads is not None:
        os.environ[_THREADS] = threads  # our own server inherits it
    else:
        os.environ.pop(_THREADS, None)
    targets, model = TargetSet.parse(text), zoo.load(name)
    log = folder / f"{name}.{setting}.jsonl"
    start = time.perf_counter()
    result = tune_graph(model.mod, model.params, target=text, log=log, name=name, budget=budget)
    seconds = time.perf_counter() - start
    result.plan.save(folder / f"{name}.{setting}.plan.json")
    on_host = _on_host(log, targets)
    with RpcConnection(devices=targets.names) as connection:
        found: Row = {
            "relay.build": result.default_ms,
            "CPU plan": max(on_host[-1].default_ms / on_host[-1].plan_ms, 1.0),
            "all OpenCL": _all_opencl(model, targets, connection, log),
            "relay.build, both": _stock(model, targets, connection),
            "our plan": result.speedup,
        }
    for column in ("CPU plan", "all OpenCL", "relay.build, both", "our plan"):
        factor = found[column]
        found[column] = result.default_ms / factor if isinstance(factor, float) else factor
    details = result.plan.provenance
    placed = bool(result.plan.device.any())
    expected = details["predicted_ms"] if placed else details["sum_of_kernels_ms"]
    return found | {
        "predicted": float(expected),
        "copies": float(details["copies"]) if placed else 0.0,
        "on OpenCL": float(result.plan.device.sum()),
        "seconds": seconds,
    }


def _all_opencl(model: zoo.ZooModel, targets: TargetSet, connection: RpcConnection, log: Path) -> float | str:
    """How many times faster than the CPU's default all kernels on the other device are; or why they fail.

    The better of FuseOps' kernels in the forms of front ends, and the kernels and forms of the best plan for the CPU;
    each kernel in the best lowering that was measured there.
    """
    base = prepare_base(model.mod, model.params, target=targets.host)
    default = Model.with_variants(base, None, targets.host)
    written = Model.with_variants(base, plain(base, targets.host), targets.host)
    own = GraphPlan.from_json(_on_host(log, targets)[-1].plan)
    forms = own.variants_of(len(read(base).calls))
    tuned = Model.with_variants(base, forms, targets.host)
    best = _best_lowerings(log, str(targets.targets[1]))
    found: list[float] = []
    error = ""
    for one, kernel in ((written, written.default), (tuned, own.kernel)):
        lowering = [best.get(key, TE) for key in kernel_keys(one.graph, kernel)]
        plan = one.plan(kernel, own.rules, lowering)
        plan = replace(plan, target=targets.text, device=np.ones(plan.num_kernels, dtype=np.int32))
        outcome = compare_whole(
            default.build_of(default.plan(default.default, "tvm")),
            one.build_of(plan),
            targets=targets,
            connection=connection,
            most_loads=1,
        )
        if outcome.verification is None:
            error = outcome.error
        else:
            found.append(outcome.verification.timing.ratio)
    return max(found) if found else error


def _on_host(log: Path, targets: TargetSet) -> list[PlanRecord]:
    """What was found of plans all on the CPU."""
    records = [one for one in TuningLog(log).load() if isinstance(one, PlanRecord) and one.target == targets.text]
    return [one for one in records if not GraphPlan.from_json(one.plan).device.any()]


def _best_lowerings(log: Path, target: str) -> dict[str, Lowering]:
    """By kernel, the lowering that was fastest on a device."""
    records = [one for one in TuningLog(log).load() if isinstance(one, KernelRecord) and one.target == target]
    slowest_first = sorted((one for one in records if one.succeeded), key=lambda one: -one.median_ms)
    return {one.key: Lowering.from_text(one.lowering) for one in slowest_first}


def _stock(model: zoo.ZooModel, targets: TargetSet, connection: RpcConnection) -> float | str:
    """How many times faster than the CPU's default `relay.build` is if it is given both targets and nothing else."""
    base = prepare_base(model.mod, model.params, target=targets.host)
    default = Model.with_variants(base, None, targets.host)
    jsons = [tvm.ir.save_json(target) for target in targets.targets]
    with tempfile.TemporaryDirectory(prefix="tvm-go-stock-") as root:
        folders = [Path(root) / name for name in ("default", "stock")]
        for folder in folders:
            folder.mkdir()
        write_module(default.mod, default.flow, default.graph, default.default, folders[0])
        (folders[1] / "module.json").write_text(tvm.ir.save_json(model.mod))
        (folders[1] / "weights.params").write_bytes(relay.save_param_dict(model.params))
        child = ChildProcess(name="stock", work_dir=Path(root))
        try:
            child.call(build_in_folder, str(folders[0]), jsons[0], timeout_s=_TIMEOUT_S)
            child.call(_build_stock, str(folders[1]), jsons, timeout_s=_TIMEOUT_S)
            inputs = zoo.input_values(model.mod, 0, model.params)
            where = (connection.address(), targets.names, list(map(str, folders)), inputs)
            return child.call(_ratio_on, *where, timeout_s=_TIMEOUT_S)
        except (ChildFailure, tvm.TVMError, RuntimeError) as error:
            return str(error).strip().splitlines()[-1]
        finally:
            child.close()


def _build_stock(folder: str, jsons: Sequence[str]) -> None:
    """Runs in a child: `relay.build` with several targets, left to itself."""
    place = Path(folder)
    targets = [tvm.ir.load_json(text) for text in jsons]
    mod = tvm.ir.load_json((place / "module.json").read_text())
    params = relay.load_param_dict((place / "weights.params").read_bytes())
    with tvm.transform.PassContext(opt_level=3):
        factory = relay.build(mod, targets, params=params)
    export_library(factory.get_lib(), place / "library.so", targets[0])
    (place / "graph.json").write_text(factory.get_graph_json())
    (place / "graph.params").write_bytes(relay.save_param_dict(factory.get_params()))


def _ratio_on(
    address: RpcAddress, names: Sequence[str], folders: Sequence[str], inputs: dict[str, np.ndarray]
) -> float | str:
    """Runs in a child: time two builds in turns; the second has all devices."""
    session = open_session(address, session_timeout_s=_TIMEOUT_S)
    try:
        devices = [session.device(name, 0) for name in names]
        default = loader_on(session, Path(folders[0]), devices[:1], "default.so")
        stock = loader_on(session, Path(folders[1]), devices, "stock.so")
        found = verify(default, stock, inputs, devices[0], most_loads=1)
        return found.timing.ratio if found.numerics != "wrong" else "wrong numbers"
    finally:
        close_session(session)


def table(rows: dict[tuple[str, str], Row]) -> Table:
    """Milliseconds by model, setting and build."""
    result = Table(title="milliseconds on CPU and OpenCL", title_justify="left")
    for column in ("model", "CPU", *_COLUMNS, "s"):
        result.add_column(column, justify="left" if column in ("model", "CPU") else "right")
    for (name, setting), row in rows.items():
        cells = [_cell(row[column], 0 if column in ("copies", "on OpenCL") else 2) for column in _COLUMNS]
        result.add_row(name, setting, *cells, _cell(row["seconds"], 0))
    return result


def _cell(value: float | str, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, float) else "fails"


def main() -> None:
    """Print the table, and write its figures as JSON beside the logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS), help="default: both")
    parser.add_argument("--budget", type=int, default=60, help="kernels per plan; default: %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("build/devices"), help="of logs and plans")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    console = Console(width=160)
    rows: dict[tuple[str, str], Row] = {}
    for setting in args.settings:
        for name in args.models:
            rows[name, setting] = measure(name, setting, args.folder, args.budget)
            console.print(name, setting, rows[name, setting], highlight=False)
            figures = {f"{name} {setting}": row for (name, setting), row in rows.items()}
            (args.folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    console.print(table(rows))


if __name__ == "__main__":
    main()
