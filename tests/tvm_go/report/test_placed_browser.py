"""A small plan on a CPU and an OpenCL device in a real browser: devices, copies and memory are to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from tvm import relay

from benchmarks.browser import opened
from relay_passes import extract
from tests.relay_passes.test_extract import typed
from tvm_go import GraphPlan
from tvm_go.plan_details import MEASURED, SOURCES, PlanDetails

_COPY_MS = [0.5, 0.25, 0.125, 0.0625]  # of x, relu and tanh to the other device, and of the sum to the host


def placed_plan() -> GraphPlan:
    """ReLU on OpenCL, tanh on the CPU, their sum on OpenCL; TVM's default has all of them on the CPU."""
    x = relay.var("x", shape=(1000, 250))
    relu = relay.nn.relu(x)
    graph = extract(typed(relay.add(relu, relay.tanh(relu))))
    kernel = np.arange(3, dtype=np.int32)
    source = np.full(3, SOURCES.index(MEASURED), dtype=np.int8)
    default = GraphPlan(kernel, "tvm", graph.structural_hash, "llvm", {"strategy": "tvm"})
    details = PlanDetails(graph, kernel, np.array([4.0, 3.0, 2.0]), source)
    return GraphPlan(
        kernel,
        "tvm",
        graph.structural_hash,
        "cpu=llvm, opencl=opencl",
        {"model": "three kernels", "copy_ms": _COPY_MS},
        device=np.array([1, 0, 1], dtype=np.int32),
        details=replace(details, ms=np.array([1.0, 3.0, 2.0]), default=replace(default, details=details)),
    )


@pytest.fixture(scope="module")
def tab(chromium: Browser, pages: Path) -> Iterator[Page]:
    path, html = pages / "placed.plan.json", pages / "placed.html"
    placed_plan().save(path)
    html.write_text(GraphPlan.load(path).to_html())
    with opened(chromium, html) as page:
        yield page


def ask(tab: Page, expression: str) -> Any:
    """Value of an expression; ``v`` is the viewer."""
    return tab.evaluate(f"(() => {{ const v = window.planViewer; return {expression}; }})()")


def test_kernels_have_the_colours_of_their_devices_and_edges_say_what_is_copied(tab: Page) -> None:
    tab.click("#tab-graph")
    assert tab.locator("#legend span").all_inner_texts()[:2] == ["cpu", "opencl"]
    copied = ask(
        tab, "v.graph.display.edges.filter((e) => e.link.copies.size).map((e) => [e.link.from, e.link.to]).sort()"
    )
    assert copied == [[0, 1], [1, 2]]  # from relu to the sum nothing is: both are on the same device
    x, y = ask(
        tab,
        "(() => { const c = v.graph.camera, r = v.graph.canvas.getBoundingClientRect();"
        " const edge = v.graph.display.edges.find((e) => e.link.from === 1 && e.link.to === 2);"
        " const [[a, b], [d, e]] = edge.lines[0]; return [r.left + ((a + d) / 2 - c.x) * c.scale,"
        " r.top + ((b + e) / 2 - c.y) * c.scale]; })()",
    )
    tab.mouse.move(x, y)
    tab.wait_for_function("document.getElementById('hint').textContent.includes(' → ')")
    assert "copied between devices: 1 MB · 0.1250 ms" in (tab.text_content("#hint") or "")


def test_the_panel_says_where_a_kernel_is_what_of_it_is_copied_and_where_it_was(tab: Page) -> None:
    tab.evaluate("planViewer.go(2)")
    tab.wait_for_function("planViewer.selected === 2")
    panel = tab.locator("#details").inner_text()
    assert "opencl" in panel
    assert "to cpu: 1 MB · 0.0625 ms" in panel  # what the model returns, for which there is no edge
    assert "add on cpu" in panel


def test_the_timeline_has_kernels_copies_and_memory_of_each_device(tab: Page) -> None:
    tab.click("#tab-timeline")
    tab.wait_for_function("planViewer.timeline.width > 0")
    rows = [(row["kind"], row["device"]) for row in ask(tab, "v.timeline.rows")]
    assert rows == [
        *(("kernels", 0), ("copies", 0), ("other", 0), ("memory", 0)),
        *(("kernels", 1), ("copies", 1), ("memory", 1)),
    ]
    assert ask(tab, "v.timeline.ownMs") == pytest.approx(1.0 + 3.0 + 2.0 + sum(_COPY_MS))
    assert ask(tab, "[0, 1].map((device) => Array.from(v.timeline.curveOf(device).bytes, (size) => size / 1e6))") == [
        [0, 0, 1, 2, 1, 0, 1],  # relu's copy and tanh, until that is copied; the result
        [1, 2, 1, 1, 2, 3, 1],  # x's copy, relu, tanh's copy and the sum
    ]


@pytest.mark.parametrize(
    ("device", "copy", "said"),
    [
        (0, 0, "relu from opencl to cpu: 1 MB · 0.2500 ms"),
        (0, 1, "add from opencl to cpu: 1 MB · 0.0625 ms"),
        (1, 0, "input float32[1000, 250] from cpu to opencl: 1 MB · 0.5000 ms"),
        (1, 1, "tanh from cpu to opencl: 1 MB · 0.1250 ms"),
    ],
)
def test_a_copy_in_the_timeline_says_what_it_is(tab: Page, device: int, copy: int, said: str) -> None:
    tab.click("#tab-timeline")
    tab.wait_for_function("planViewer.timeline.width > 0")
    x, y = ask(
        tab,
        f"(() => {{ const t = v.timeline, r = t.canvas.getBoundingClientRect(), c = t.arrivals[{device}][{copy}];"
        f" const row = t.rows.find((one) => one.kind === 'copies' && one.device === {device});"
        " const middle = (v.scene.copy_start_ms[c] + v.scene.copy_end_ms[c]) / 2;"
        " return [r.left + t.x(middle), r.top + row.y + row.height / 2]; })()",
    )
    tab.mouse.move(x, y)
    assert tab.text_content("#hint") == said


def test_what_moved_is_listed_with_both_devices(tab: Page) -> None:
    tab.click("#tab-changes")
    rows = tab.locator("#change-table tbody tr")
    cells = [rows.nth(number).locator("td").all_inner_texts() for number in range(rows.count())]
    assert [row[:4] for row in cells] == [
        ["moved", "cpu → opencl", "relu", "relu"],
        ["moved", "cpu → opencl", "add", "add"],
    ]
