"""The viewer in a real browser: pages of squeezenet, BERT with six layers, and 80,000 ops on eight devices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from benchmarks.browser import first_picture_ms, opened
from benchmarks.viewer import placed, planned
from tests.tvm_go.report.plans import plan_of
from tvm_go import GraphPlan
from tvm_go.report import page, split_scene

_LARGE = 80_000


@dataclass(frozen=True)
class Shown:
    """A page in the browser, and the plan that it shows, read back from its JSON."""

    tab: Page
    plan: dict[str, Any]

    def ask(self, expression: str) -> Any:
        """Value of an expression; ``v`` is the viewer."""
        return self.tab.evaluate(f"(() => {{ const v = window.planViewer; return {expression}; }})()")

    def box_centre(self, kernel: int) -> tuple[float, float]:
        """Where on the screen the box that holds a kernel is."""
        x, y = self.ask(
            f"(() => {{ const i = v.graph.itemOf({kernel}), c = v.graph.camera,"
            " r = v.graph.canvas.getBoundingClientRect();"
            " return [r.left + (i.x + i.width / 2 - c.x) * c.scale, r.top + (i.y + i.height / 2 - c.y) * c.scale]; })()"
        )
        return float(x), float(y)


@pytest.fixture(scope="module", params=["squeezenet", "bert6"])
def shown(request: pytest.FixtureRequest, chromium: Browser, pages: Path) -> Iterator[Shown]:
    path = pages / f"{request.param}.plan.json"
    planned(request.param).save(path)
    plan = GraphPlan.load(path)
    html = pages / f"{request.param}.html"
    html.write_text(plan.to_html())
    with opened(chromium, html) as tab:
        print(f"\n{request.param}: first picture after {first_picture_ms(tab):.0f} ms")
        yield Shown(tab, json.loads(path.read_text()))


@pytest.fixture(scope="module")
def large(chromium: Browser, pages: Path) -> Iterator[Shown]:
    workload, machine, device = placed("gpt", _LARGE, 8)
    other = np.roll(np.arange(8), 1)[device].astype(np.int32)
    html = pages / "large.html"
    html.write_text(page(split_scene(workload, machine, device, "concurrent", against=other)))
    with opened(chromium, html) as tab:
        print(f"\n{workload.num_ops} ops: first picture after {first_picture_ms(tab):.0f} ms")
        yield Shown(tab, {"device": device.tolist(), "ms": workload.op_ms[:, 0].tolist()})


def test_the_numbers_are_those_of_the_plan(shown: Shown) -> None:
    kernel, details = shown.plan["kernel"], shown.plan["details"]
    assert shown.ask("v.scene.numKernels") == max(kernel) + 1
    sizes = shown.ask("Array.from(v.scene.op_start)")
    assert np.diff(sizes).tolist() == np.bincount(kernel).tolist()
    assert shown.ask("Array.from(v.scene.ms, (ms) => Number.isNaN(ms) ? null : ms)") == details["ms"]
    assert shown.ask("v.scene.totalMs") == pytest.approx(sum(ms or 0 for ms in details["ms"]))
    shown.tab.click("#tab-kernels")
    first = shown.tab.locator("#kernel-table tbody tr").first.locator("td").all_inner_texts()
    longest = int(np.argmax([ms or 0 for ms in details["ms"]]))
    assert int(first[0]) == longest
    assert float(first[4]) == pytest.approx(details["ms"][longest], rel=1e-3)
    assert first[6] == "measured"


def test_a_kernel_unfolds_into_its_ops_and_folds_again(shown: Shown) -> None:
    shown.tab.click("#tab-graph")
    kernel = int(np.argmax(np.bincount(shown.plan["kernel"])))
    count = shown.plan["kernel"].count(kernel)
    shown.tab.evaluate(f"planViewer.go({kernel})")
    shown.tab.wait_for_function(f"planViewer.graph.itemOf({kernel})?.box.kind === 'kernel'")
    before = shown.ask("v.graph.display.items.length")
    shown.tab.mouse.dblclick(*shown.box_centre(kernel))
    shown.tab.wait_for_function(f"planViewer.graph.display.items.length === {before + count}")
    assert shown.ask("v.graph.display.items.filter((i) => i.box.kind === 'op').length") == count
    shown.tab.focus("#graph-canvas")
    shown.tab.keyboard.press("f")
    shown.tab.wait_for_function("planViewer.graph.display.items.every((i) => !i.open)")


def test_hints_tell_what_a_kernel_and_an_edge_are(shown: Shown) -> None:
    shown.tab.click("#tab-graph")
    kernel = int(np.argmax([ms or 0 for ms in shown.plan["details"]["ms"]]))
    shown.tab.evaluate(f"planViewer.go({kernel})")
    shown.tab.wait_for_function(f"planViewer.selected === {kernel}")
    shown.tab.mouse.move(*shown.box_centre(kernel))
    hint = shown.tab.locator("#hint")
    hint.wait_for()
    graph = GraphPlan.from_json(shown.plan).details.graph  # type: ignore[union-attr]
    ops = [op for op, number in enumerate(shown.plan["kernel"]) if number == kernel]
    assert hint.inner_text().startswith(" + ".join(graph.name(op).split(".")[-1] for op in ops).split(" + ")[0][:4])
    assert "time from: measured" in hint.inner_text()
    shown.tab.click("#zoom-fit")
    x, y = shown.ask(
        "(() => { const c = v.graph.camera, r = v.graph.canvas.getBoundingClientRect();"
        " for (const { lines } of v.graph.display.edges) for (const points of lines)"
        " for (let i = 1; i < points.length; i++) { const [a, b] = [points[i - 1], points[i]];"
        " if (Math.abs(a[1] - b[1]) * c.scale > 8) return [r.left + ((a[0] + b[0]) / 2 - c.x) * c.scale,"
        " r.top + ((a[1] + b[1]) / 2 - c.y) * c.scale]; } })()"
    )
    shown.tab.mouse.move(x, y)
    shown.tab.wait_for_function("document.getElementById('hint').textContent.includes(' → ')")
    assert "B\n" in hint.inner_text()


def test_the_wheel_zooms_at_the_pointer_and_dragging_moves_the_picture_and_the_minimap_too(shown: Shown) -> None:
    camera = "({ ...v.graph.camera })"
    shown.tab.click("#tab-graph")
    shown.tab.click("#zoom-fit")
    shown.tab.wait_for_function("getComputedStyle(document.getElementById('minimap')).visibility === 'hidden'")
    fitted = shown.ask(camera)
    shown.tab.mouse.move(500, 500)
    shown.tab.mouse.wheel(0, -400)
    shown.tab.wait_for_function(f"planViewer.graph.camera.scale > {fitted['scale']} * 1.5")
    zoomed = shown.ask(camera)
    left, top = shown.ask("(() => { const r = v.graph.canvas.getBoundingClientRect(); return [r.left, r.top]; })()")
    for axis, place in (("x", 500 - left), ("y", 500 - top)):
        assert zoomed[axis] + place / zoomed["scale"] == pytest.approx(fitted[axis] + place / fitted["scale"])
    shown.tab.mouse.down()
    shown.tab.mouse.move(440, 530, steps=4)
    shown.tab.mouse.up()
    dragged = shown.ask(camera)
    assert (dragged["x"] - zoomed["x"]) * zoomed["scale"] == pytest.approx(60)
    assert (dragged["y"] - zoomed["y"]) * zoomed["scale"] == pytest.approx(-30)
    shown.tab.wait_for_function("getComputedStyle(document.getElementById('minimap')).visibility === 'visible'")
    shown.tab.click("#minimap", position={"x": 100, "y": 75})
    middle = shown.ask("v.graph.camera.x + v.graph.width / v.graph.camera.scale / 2")
    assert middle == pytest.approx(shown.ask("v.graph.display.width / 2"), rel=0.04)


def test_search_finds_kernels_marks_them_and_goes_from_one_to_the_next(shown: Shown) -> None:
    graph = GraphPlan.from_json(shown.plan).details.graph  # type: ignore[union-attr]
    softmax = {shown.plan["kernel"][op] for op in range(graph.num_ops) if "softmax" in graph.name(op)}
    shown.tab.keyboard.press("Escape")
    shown.tab.focus("#graph-canvas")
    shown.tab.keyboard.press("/")
    shown.tab.keyboard.type("softmax")
    assert shown.tab.text_content("#search-count") == f"{len(softmax)} kernel{'s' if len(softmax) > 1 else ''}"
    shown.tab.keyboard.press("Enter")
    shown.tab.wait_for_function(f"planViewer.selected === {min(softmax)}")
    assert "softmax" in (shown.tab.text_content("#details") or "")
    shown.tab.click("#tab-kernels")
    assert shown.tab.locator("#kernel-table tbody tr").count() == len(softmax)
    shown.tab.focus("#search")
    shown.tab.keyboard.press("Escape")
    assert shown.ask("v.graph.found") is None


def test_what_changed_against_the_default_is_listed_and_leads_to_the_kernel(shown: Shown) -> None:
    shown.tab.click("#tab-changes")
    rows = shown.tab.locator("#change-table tbody tr")
    kinds = {rows.nth(i).locator("td").first.inner_text() for i in range(rows.count())}
    assert kinds & {"split", "regrouped", "regrouped, split"}
    changed = shown.ask("Array.from(v.scene.change).filter((kind) => v.scene.kinds[kind] !== 'same').length")
    default = shown.plan["details"]["default"]["kernel"]
    pairs = set(zip(shown.plan["kernel"], default, strict=True))
    mine, theirs = np.bincount([a for a, _ in pairs]), np.bincount([b for _, b in pairs])
    same = {a for a, b in pairs if mine[a] == 1 and theirs[b] == 1}
    assert changed == len(mine) - len(same)
    kernel = int(rows.first.get_attribute("data-kernel") or -1)
    rows.first.click()
    shown.tab.wait_for_function(f"planViewer.view === 'graph' && planViewer.selected === {kernel}")
    assert "TVM's default" in (shown.tab.text_content("#details") or "")


def test_the_timeline_and_its_keys(shown: Shown) -> None:
    shown.tab.keyboard.press("Escape")
    shown.tab.click("#tab-timeline")
    assert shown.tab.is_visible("#timeline-canvas")
    assert not shown.tab.is_visible("#graph-canvas")
    assert shown.ask("v.timeline.ownMs") == pytest.approx(shown.ask("v.scene.totalMs"))
    before_ms = sum(ms or 0 for ms in shown.plan["details"]["default"]["details"]["ms"])
    assert shown.ask("v.timeline.otherEnds.at(-1)") == pytest.approx(before_ms)
    shown.tab.focus("#timeline-canvas")
    shown.tab.keyboard.press("ArrowRight")
    shown.tab.keyboard.press("ArrowRight")
    assert shown.ask("v.selected") == 1
    span = shown.ask("v.timeline.span")
    shown.tab.keyboard.press("+")
    assert shown.ask("v.timeline.span") < span
    shown.tab.keyboard.press("1")
    assert shown.tab.is_visible("#graph-canvas")


def test_the_list_of_keys_opens_and_closes(shown: Shown) -> None:
    shown.tab.keyboard.press("1")
    shown.tab.keyboard.press("?")
    assert shown.tab.is_visible("#keys")
    shown.tab.keyboard.press("Escape")
    assert not shown.tab.is_visible("#keys")


def test_the_table_sorts_by_every_column(shown: Shown) -> None:
    shown.tab.click("#tab-kernels")
    for column in range(shown.tab.locator("#kernel-table th").count()):
        head = shown.tab.locator("#kernel-table th").nth(column)
        head.locator("button").click()
        orders = [shown.ask("Array.from(v.table.order)")]
        direction = head.get_attribute("aria-sort")
        head.locator("button").click()
        orders.append(shown.ask("Array.from(v.table.order)"))
        assert {direction, head.get_attribute("aria-sort")} == {"ascending", "descending"}
        assert sorted(orders[0]) == sorted(orders[1]) == list(range(len(orders[0])))
    times = shown.ask("Array.from(v.table.order, (k) => v.scene.ms[k] || 0)")
    assert len(times) == max(shown.plan["kernel"]) + 1


def test_80_000_ops_open_folded_and_unfold_down_to_the_op(large: Shown) -> None:
    assert large.ask("v.scene.numKernels") == pytest.approx(_LARGE, rel=0.2)
    assert large.ask("v.graph.display.items.length") <= 60
    kernel = 41_000
    large.tab.evaluate(f"planViewer.go({kernel})")
    large.tab.wait_for_function(f"planViewer.graph.itemOf({kernel})?.box.kind === 'kernel'")
    assert large.ask("v.graph.display.items.length") < 400
    panel = large.tab.text_content("#details") or ""
    assert f"P100:{large.plan['device'][kernel]}".lower() in panel.lower()
    assert large.ask(f"v.scene.ms[{kernel}]") == pytest.approx(large.plan["ms"][kernel])


def test_80_000_ops_have_a_timeline_with_copies_and_memory(large: Shown) -> None:
    large.tab.click("#tab-timeline")
    large.tab.wait_for_timeout(100)
    assert large.ask("v.timeline.rows.filter((row) => row.kind === 'memory').length") == 8
    assert large.ask("v.timeline.arrivals.flat().length") == large.ask("v.scene.copy_value.length") > 7
    links = large.ask("v.graph.whole.links.filter((link) => link.copies.size).length")
    assert links > 0


def test_frames_are_drawn_fast_while_5_000_ops_are_moved(chromium: Browser, pages: Path) -> None:
    html = pages / "medium.html"
    html.write_text(plan_of(5000).to_html())
    with opened(chromium, html) as tab:
        tab.click("#unfold-all")
        tab.wait_for_function("planViewer.graph.display.items.length > 200")
        frame_ms = tab.evaluate(
            "(() => { const g = planViewer.graph, start = performance.now();"
            " for (let i = 0; i < 20; i++) { g.camera.x += 3; g.painter.paint(g.context, g); }"
            " return (performance.now() - start) / 20; })()"
        )
        print(f"\n5000 ops: first picture after {first_picture_ms(tab):.0f} ms, a frame in {frame_ms:.1f} ms")
        assert frame_ms < 1000


def test_without_javascript_the_tables_read(chromium: Browser, pages: Path) -> None:
    plan = plan_of(300)
    html = pages / "plain.html"
    html.write_text(plan.to_html())
    with opened(chromium, html, wait=False, java_script_enabled=False) as tab:
        assert tab.locator("#kernel-table tbody tr").count() == plan.num_kernels
        assert tab.is_visible("#kernel-table")
        assert tab.is_visible("#change-table")
        assert not tab.is_visible("#graph-canvas")
        assert tab.is_visible("#tables-only")


def test_a_notebook_shows_the_page_in_a_frame(chromium: Browser, pages: Path) -> None:
    html = pages / "notebook.html"
    html.write_text(f"<!DOCTYPE html><title>notebook</title>{plan_of(60)._repr_html_()}")
    with opened(chromium, html, wait=False) as tab:
        frame = tab.frame_locator("iframe")
        frame.locator("html[data-ready]").wait_for()
        assert frame.locator("h1").inner_text() == "made <up>"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_and_the_button(chromium: Browser, pages: Path, scheme: str) -> None:
    html = pages / "theme.html"
    html.write_text(plan_of(60).to_html())
    with opened(chromium, html, color_scheme=scheme) as tab:
        assert tab.evaluate("document.documentElement.dataset.theme") == scheme
        tab.click("#theme")
        assert tab.evaluate("document.documentElement.dataset.theme") != scheme
