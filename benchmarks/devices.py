"""Models on a CPU and an OpenCL device together: `python -m benchmarks.devices [MODEL...]`.

Each model is planned for both devices, with all cores and full vectors on the CPU's side and again with a CPU that is
slowed down (one thread, generic x86), where the choice is real. All builds of a model that differ are timed in turns,
in one session. Needs an OpenCL device here, such as PoCL's, and TVM's runtime with OpenCL (tools/opencl,
tools/build_opencl_runtime). Logs are kept: started again, it measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tvm
from rich.console import Console
from rich.table import Table
from tvm import relay

from benchmarks import zoo
from benchmarks.builds_in_turns import Written, time_builds
from cost_model.links import links_of
from cost_model.measure import Measurer
from cost_model.rpc import RpcConnection
from cost_model.served_device import together
from cost_model.whole_model import WholeBuild
from relay_passes.dataflow import read
from relay_passes.library import write_module
from relay_passes.prepare import prepare_base
from relay_passes.target_set import TargetSet
from relay_passes.variants import plain
from tuning_logs import KernelRecord, PlanRecord, TuningLog
from tvm_go.device_search import machine_of
from tvm_go.kernels import free_kernels, paid_keys
from tvm_go.lowering import TE, Lowering
from tvm_go.model import Model
from tvm_go.placing import place
from tvm_go.plan import GraphPlan
from tvm_go.simulate.from_kernels import from_kernels
from tvm_go.tuning import tune_graph

MODELS = ("squeezenet", "bert2", "mixer", "lstm", "crnn", "centernet")
SETTINGS = {"full": ("cpu=native, opencl=opencl", None), "slow": ("cpu=llvm, opencl=opencl", "1")}
"""Target set, and how many threads TVM's CPU kernels have (None for all cores); OpenCL has all cores in both."""

_THREADS = "TVM_NUM_THREADS"
_BUILDS = ("relay.build", "CPU plan", "all OpenCL", "relay.build, both", "exact", "our plan")
_COLUMNS = (*_BUILDS, "predicted", "relay.build, predicted", "copies", "on OpenCL")

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
    with RpcConnection(devices=targets.names) as connection, tempfile.TemporaryDirectory(prefix="tvm-go-") as root:
        builds = builds_of(model, targets, connection, log, result.plan)
        written: dict[str, Written] = {}
        same: dict[str, str] = {}
        for label, build in builds.items():
            twin = next((other for other in written if _alike(build, builds[other])), None)
            if twin is not None:
                same[label] = twin
                continue
            place_of = Path(root) / label.replace(" ", "-")
            place_of.mkdir()
            written[label] = _write(build, targets, place_of)
        (stock := Path(root) / "stock").mkdir()
        (stock / "module.json").write_text(tvm.ir.save_json(model.mod))
        (stock / "weights.params").write_bytes(relay.save_param_dict(model.params))
        written["relay.build, both"] = Written(stock, targets.names, stock=True)
        inputs = zoo.input_values(model.mod, 0, model.params)
        found = time_builds(written, targets.targets, connection.address(), inputs, Path(root))
    found |= {label: found[twin] for label, twin in same.items()}
    on_opencl = [found.pop(label) for label in list(found) if label.startswith("all OpenCL")]
    times = [one for one in on_opencl if isinstance(one, float)]
    found["all OpenCL"] = min(times) if times else on_opencl[0]
    details = result.plan.provenance
    placed = bool(result.plan.device.any())
    expected = details["predicted_ms"] if placed else details["sum_of_kernels_ms"]
    return found | {
        "predicted": float(expected),
        "relay.build, predicted": _default_ms(log, targets.host, builds["relay.build"]),
        "copies": float(details["copies"]) if placed else 0.0,
        "on OpenCL": float(result.plan.device.sum()),
        "seconds": seconds,
    }


def builds_of(
    model: zoo.ZooModel, targets: TargetSet, connection: RpcConnection, log: Path, plan: GraphPlan
) -> dict[str, WholeBuild]:
    """What is compared, TVM's default for the CPU first.

    All on OpenCL there are two: FuseOps' kernels in the forms of front ends, and the kernels and forms of the best plan
    for the CPU. "exact" is what a search of back ends for given kernels finds at best (Jeon et al., "Collage", 2022):
    FuseOps' kernels in the forms of front ends, placed by a minimum cut, each in its best lowering.
    """
    base = prepare_base(model.mod, model.params, target=targets.host)
    default = Model.with_variants(base, None, targets.host)
    written = Model.with_variants(base, plain(base, targets.host), targets.host)
    own = _best_on_host(log, targets)
    tuned = Model.with_variants(base, own.variants_of(len(read(base).calls)), targets.host)
    found = Model.with_variants(base, plan.variants_of(len(read(base).calls)), targets.host)
    best = [_best_lowerings(log, str(target)) for target in targets.targets]

    def on(one: Model, kernel: np.ndarray, rules: str, device: np.ndarray) -> WholeBuild:
        keys = paid_keys(one.graph, kernel)
        lowering = [best[where].get(key, (TE, np.inf))[0] for key, where in zip(keys, device.tolist(), strict=True)]
        return one.build_of(replace(one.plan(kernel, rules, lowering), target=targets.text, device=device))

    everywhere = [np.ones(int(kernel.max()) + 1, dtype=np.int32) for kernel in (written.default, own.kernel)]
    cut = _cut(written, targets, connection, log, best)
    return {
        "relay.build": default.build_of(default.plan(default.default, "tvm")),
        "CPU plan": tuned.build_of(own),
        "all OpenCL, written": on(written, written.default, "tvm", everywhere[0]),
        "all OpenCL, tuned": on(tuned, own.kernel, own.rules, everywhere[1]),
        "exact": on(written, written.default, "tvm", cut),
        "our plan": found.build_of(plan),
    }


def _cut(
    model: Model,
    targets: TargetSet,
    connection: RpcConnection,
    log: Path,
    best: list[dict[str, tuple[Lowering, float]]],
) -> np.ndarray:
    """Device of each of FuseOps' kernels, int32 [K], for which kernels and copies take least."""
    with (
        Measurer(target=targets.host, connection=connection) as host,
        Measurer(target=targets.targets[1], connection=connection) as other,
    ):
        links = links_of(targets, connection, TuningLog(log), together([host.served(), other.served()]))
    keys = paid_keys(model.graph, model.default)
    views = free_kernels(model.graph, model.default)
    ms = np.array([[one.get(key, (TE, np.inf))[1] for one in best] for key in keys])
    ms[[not key for key in keys]] = (0.0, np.inf)  # compiled for the host already
    ms[views] = 0.0
    ms[:, 1] = np.maximum(ms[:, 1], np.where(views, 0.0, links.launch_ms[1]))
    machine = machine_of(targets, links)
    kernels = from_kernels(model.graph, model.default, ms, targets.names)
    return kernels.device_of(place(kernels.workload, machine, "sequential", strategy="min_cut").device)


def _default_ms(log: Path, target: tvm.target.Target, default: WholeBuild) -> float:
    """The sum of TVM's own kernels as they were measured: what a machine's speed has changed by since shows in it."""
    records = [one for one in TuningLog(log).load() if isinstance(one, KernelRecord) and one.target == str(target)]
    ms = {one.key: one.median_ms for one in records if one.succeeded and one.lowering == TE.to_text()}
    return sum(ms[key] for key in paid_keys(default.graph, default.kernel) if key)


def _write(build: WholeBuild, targets: TargetSet, folder: Path) -> Written:
    devices = targets.names[:1] if build.on_host else targets.names
    write_module(
        *(build.mod, build.flow, build.graph, build.kernel, folder, build.lowering),
        device=build.device,
        devices=devices,
    )
    return Written(folder, devices)


def _alike(one: WholeBuild, other: WholeBuild) -> bool:
    """Whether two builds are one: to time it twice would show noise."""
    parts = [(list(each.lowering), each.kernel.tolist(), np.flatnonzero(each.device).tolist()) for each in (one, other)]
    return parts[0] == parts[1] and one.graph.structural_hash == other.graph.structural_hash


def _best_on_host(log: Path, targets: TargetSet) -> GraphPlan:
    """What was found of plans all on the CPU."""
    records = [one for one in TuningLog(log).load() if isinstance(one, PlanRecord) and one.target == targets.text]
    return [plan for one in records if not (plan := GraphPlan.from_json(one.plan)).device.any()][-1]


def _best_lowerings(log: Path, target: str) -> dict[str, tuple[Lowering, float]]:
    """By kernel, the lowering that was fastest on a device, and its milliseconds."""
    records = [one for one in TuningLog(log).load() if isinstance(one, KernelRecord) and one.target == target]
    slowest_first = sorted((one for one in records if one.succeeded), key=lambda one: -one.median_ms)
    return {one.key: (Lowering.from_text(one.lowering), one.median_ms) for one in slowest_first}


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
    console = Console(width=180)
    figures = args.folder / "figures.json"  # of all runs so far
    known: dict[str, Row] = json.loads(figures.read_text()) if figures.exists() else {}
    rows: dict[tuple[str, str], Row] = {}
    for setting in args.settings:
        for name in args.models:
            rows[name, setting] = known[f"{name} {setting}"] = measure(name, setting, args.folder, args.budget)
            console.print(name, setting, rows[name, setting], highlight=False)
            figures.write_text(json.dumps(known, indent=1) + "\n")
    console.print(table(rows))


if __name__ == "__main__":
    main()
