"""Pages of the plan viewer, how long they take to write and to show, and the pictures of the documents.

    python -m benchmarks.viewer                  # the table
    python -m benchmarks.viewer --screenshots    # writes docs/images/viewer_*.png as well

Plans of squeezenet and bert6 are those of `python -m benchmarks.end_to_end`; generated graphs run on simulated GPUs.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page

from benchmarks import zoo
from benchmarks.browser import browser, first_picture_ms, opened
from relay_passes.targets import as_target
from tuning_logs import TuningLog
from tvm_go.detailing import detailed, times_of_log
from tvm_go.graph import Int32
from tvm_go.legalize import legalize
from tvm_go.lowering import Lowering
from tvm_go.model import Model
from tvm_go.placing import place
from tvm_go.plan import GraphPlan
from tvm_go.plan_details import MEASURED
from tvm_go.report import page, plan_scene, split_scene
from tvm_go.report.scene import Scene
from tvm_go.rules import rule_set
from tvm_go.search.placement import PlacementBudget
from tvm_go.simulate import Machine, Workload
from tvm_go.simulate.families import generate
from tvm_go.simulate.machines import P100, PCIE3, box

_FOLDER = Path("build/viewer")
_TUNED = Path("build/end_to_end")
_IMAGES = Path("docs/images")


@dataclass(frozen=True)
class Figures:
    """Of one page: seconds to write it, its size in MB, and milliseconds to the first picture."""

    ops: int
    kernels: int
    write_s: float
    page_mb: float
    first_picture_ms: float


def made_up_times(key: str, lowering: Lowering, device: str) -> tuple[float, str]:
    """Milliseconds that follow from a kernel's key, from 0.001 to 1."""
    return 10 ** (-3 * int(key[:6], 16) / 2**24), MEASURED


def planned(name: str, target: str = "llvm") -> GraphPlan:
    """A legal plan of a model of the zoo by random requests, beside TVM's default; its times are made up."""
    model = zoo.load(name)
    prepared = Model.prepare(model.mod, model.params, as_target(target))
    requests = np.random.default_rng(0).integers(0, 3, size=prepared.graph.num_edges)
    kernel = legalize(prepared.graph, requests, rule_set("wide"))
    return detailed(prepared.plan(kernel, "wide", model=name), (prepared,), made_up_times)


def placed(family: str, num_ops: int, num_devices: int) -> tuple[Workload, Machine, Int32]:
    """A generated training graph with named ops on a box of GPUs, placed by the strategy `expert`."""
    graph = generate(family, num_ops, np.random.default_rng(0), training=True)
    ample = replace(P100, memory_bytes=math.inf)
    machine = box(f"{num_devices} P100 with ample memory", [ample] * num_devices, PCIE3)
    names = [graph.op_types[one] for one in graph.op_type.tolist()]
    workload = graph.workload([P100])
    named = replace(workload, op_ids=tuple(f"{names[int(number)]}_{number}" for number in workload.op_ids))
    placement = place(named, machine, "concurrent", strategy="expert", budget=PlacementBudget(1, math.inf), seed=0)
    return named, machine, placement.device


def tuned(name: str) -> GraphPlan:
    """The plan that `python -m benchmarks.end_to_end NAME` found for a model of the zoo, with the times in its log."""
    path = _TUNED / f"{name}.plan.plan.json"
    if not path.exists():
        raise SystemExit(f"there is no {path}: run `python -m benchmarks.end_to_end {name}` first")
    plan = GraphPlan.load(path)
    model = zoo.load(name)
    models = (
        Model.prepare(model.mod, model.params, as_target(plan.target)),
        Model.of_plan(model.mod, model.params, plan),
    )
    return detailed(plan, models, times_of_log(TuningLog(_TUNED / f"{name}.jsonl"), plan.target))


def _gpt(num_ops: int, num_devices: int) -> Scene:
    return split_scene(*placed("gpt", num_ops, num_devices), "concurrent")


_SCENES: dict[str, Callable[[], Scene]] = {
    "squeezenet": lambda: plan_scene(tuned("squeezenet")),
    "bert6": lambda: plan_scene(tuned("bert6")),
    "gpt, 5,000 ops on 4 GPUs": lambda: _gpt(5000, 4),
    "gpt, 80,000 ops on 8 GPUs": lambda: _gpt(80_000, 8),
}


def measure(scene: Callable[[], Scene], path: Path, running: Browser) -> Figures:
    """Write a page, open it, and take the times."""
    start = time.perf_counter()
    found = scene()
    content = page(found)
    path.write_text(content)
    seconds = time.perf_counter() - start
    with opened(running, path) as tab:
        shown_ms = first_picture_ms(tab)
    return Figures(found.structure.num_ops, found.structure.num_kernels, seconds, path.stat().st_size / 1e6, shown_ms)


def _screenshots(running: Browser, paths: dict[str, Path]) -> None:
    _IMAGES.mkdir(parents=True, exist_ok=True)

    def shot(tab: Page, name: str) -> None:
        tab.wait_for_timeout(300)
        tab.screenshot(path=_IMAGES / f"viewer_{name}.png")

    small = {"width": 1280, "height": 760}
    with opened(running, paths["squeezenet"], viewport=small) as tab:
        longest = tab.evaluate("[...planViewer.table.order][0]")
        tab.select_option("#colour", "change")
        tab.evaluate(f"planViewer.select(planViewer.kernelBox({longest}))")
        shot(tab, "graph")
        tab.click("#tab-changes")
        shot(tab, "changes")
    with opened(running, paths["gpt, 5,000 ops on 4 GPUs"], viewport=small, color_scheme="dark") as tab:
        shot(tab, "blocks")
        tab.click("#tab-timeline")
        shot(tab, "timeline")


def main() -> None:
    """Print the table; write the pictures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshots", action="store_true", help="write docs/images/viewer_*.png.")
    parser.add_argument("--only", choices=_SCENES, nargs="+", default=tuple(_SCENES), help="pages to make.")
    args = parser.parse_args()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    paths = {name: _FOLDER / f"{name.replace(',', '').replace(' ', '_')}.html" for name in _SCENES}
    print("| page | ops | kernels | seconds to make | MB | first picture, s |\n|---|---|---|---|---|---|")
    with browser() as running:
        for name in args.only:
            one = measure(_SCENES[name], paths[name], running)
            print(
                f"| {name} | {one.ops:,} | {one.kernels:,} | {one.write_s:.1f} | {one.page_mb:.1f} "
                f"| {one.first_picture_ms / 1000:.2f} |",
                flush=True,
            )
        if args.screenshots:
            _screenshots(running, paths)


if __name__ == "__main__":
    main()
