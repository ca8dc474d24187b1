"""The report of a run says what the run told, reads without JavaScript, and asks nothing of a network."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from benchmarks.browser import opened
from tests.tvm_go.report.plans import rows_in
from tests.tvm_go.runs import DEFAULT_MS, SUMS_MS, Clock, result_of, told
from tvm_go.report import run_page
from tvm_go.run_record import RunRecord

COMMAND = "tvm-go tune-graph 'a <b>.onnx' --report r.html"


@pytest.fixture(scope="module")
def html() -> str:
    return run_page(result_of(), told(Clock()), command=COMMAND, files={"log": "l.jsonl"})


def test_the_page_is_whole_escaped_and_from_nowhere_else(html: str) -> None:
    assert "made &lt;up&gt;: tuning run" in html
    assert "made <up>" not in html
    assert "a &lt;b&gt;.onnx" in html
    assert not re.search(r"""(src|href)\s*=|@import|url\(""", html)
    assert "default-src 'none'" in html
    assert not re.search(r"\$\w", html)
    assert len(html) < 40_000


def test_the_tables_hold_the_figures_of_the_run(html: str) -> None:
    improvements = rows_in(html, "improvement-table")
    assert [float(row[3]) for row in improvements] == list(SUMS_MS)
    assert [int(row[1]) for row in improvements] == [10, 15, 20, 25]
    assert float(improvements[-1][4]) == DEFAULT_MS / SUMS_MS[-1]
    (whole,) = rows_in(html, "whole-table")
    assert whole[1:5] == ["12.500", "8.000", "1.500", "1.400 .. 1.600"]
    (failure,) = rows_in(html, "failure-table")
    assert failure[:2] == ["timeout", "1"]
    assert failure[3] == "ran &lt;too&gt; long"
    gains = rows_in(html, "gain-table")
    assert [row[0] for row in gains] == ["variants", "fusion"]
    assert gains[0][1].startswith("1.300x<")
    assert rows_in(html, "kernel-table")[0][:3] == ["conv2d + add", "2", "2.500"]
    assert [row[0] for row in rows_in(html, "time-table")] == ["prepare", "compile", "measure", "search", "verify"]
    assert rows_in(html, "version-table") == [["tvm", "0.19.0"]]
    assert "12.000 ms -&gt; 8.000 ms (1.500x): the plan is faster beyond noise" in html


def test_the_curve_goes_through_every_improvement(html: str) -> None:
    by_times, by_seconds = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    for picture in (by_times, by_seconds):
        titles = re.findall(r"<circle.*?<title>(.*?)</title>", picture)
        assert [float(title.split()[0]) for title in titles] == list(SUMS_MS)
        heights = [float(y) for y in re.findall(r'<circle.*?cy="([\d.]+)"', picture)]
        assert heights == sorted(heights)  # down: less time
        assert all(f"<title>{name}</title>" in picture for name in ("default", "search"))
    assert "<title>verify</title>" not in by_seconds  # nothing becomes better there
    places = [float(x) for x in re.findall(r'<circle.*?cx="([\d.]+)"', by_times)]
    steps = [b - a for a, b in pairwise(places)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)  # five measurements each


def test_a_run_without_search_failures_or_gains_says_so() -> None:
    run = RunRecord(Clock())
    run.on_stage("prepare")
    nan = float("nan")
    page = run_page(result_of(verdict="interrupted", gains={}, kernels=(), default_ms=nan, plan_ms=nan), run)
    assert "Nothing was searched" in page
    assert "<svg" not in page
    assert "Every kernel that was asked for can be used" in page
    assert "interrupted before the plan was verified" in page
    assert "nan" not in page


def test_many_improvements_keep_the_first_and_the_last() -> None:
    run = told(Clock())
    last = run.progress
    for step in range(500):
        run.on_progress(type(last)(best_ms=6.0 - step / 1000, default_ms=DEFAULT_MS))
    rows = rows_in(run_page(result_of(), run), "improvement-table")
    assert len(rows) == 200
    assert [float(rows[0][3]), float(rows[-1][3])] == pytest.approx([SUMS_MS[0], 5.501])


def test_it_is_shown_by_a_browser_light_and_dark(html: str, chromium: Browser, pages: Path) -> None:
    path = pages / "run.html"
    path.write_text(html)
    with opened(chromium, path, wait=False, color_scheme="dark") as tab:
        colour = "getComputedStyle(document.body).backgroundColor"
        assert tab.evaluate(colour) == "rgb(20, 23, 28)"
        tab.click("#theme")
        assert tab.evaluate(colour) == "rgb(255, 255, 255)"
        svg = tab.locator("svg")
        assert svg.count() == 2
        box = svg.first.bounding_box()
        assert box is not None
        assert box["width"] > 600
        assert box["height"] > 200
        line, default = (tab.locator(f"svg {name}").first for name in ("path.best", "line.default"))
        colours = [one.evaluate("(part) => getComputedStyle(part).stroke") for one in (line, default)]
        assert len(set(colours)) == 2
        assert default.evaluate("(part) => getComputedStyle(part).strokeDasharray") != "none"
        assert tab.locator("tbody tr").count() == 4 + 1 + 1 + 2 + 2 + 5 + 1
        bars = tab.locator("#gain-table .share")
        widths = [bars.nth(number).evaluate("(bar) => bar.getBoundingClientRect().width") for number in range(2)]
        assert widths[0] == pytest.approx(3 * widths[1], rel=0.1)
        tab.screenshot(path=str(pages / "run.png"), full_page=True)
    with opened(chromium, path, wait=False, viewport={"width": 420, "height": 800}) as tab:
        assert tab.evaluate("document.querySelector('svg').getBoundingClientRect().right") <= 420


def test_it_reads_without_javascript(html: str, chromium: Browser, pages: Path) -> None:
    path = pages / "run_without.html"
    path.write_text(html)
    with opened(chromium, path, wait=False, java_script_enabled=False) as tab:
        assert tab.locator("#improvement-table").is_visible()
        assert tab.locator("svg").first.is_visible()
        assert not tab.locator("#theme").is_visible()
