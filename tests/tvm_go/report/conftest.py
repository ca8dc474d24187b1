"""A real browser, and pages of real and of large plans in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from benchmarks.browser import browser, chromium_path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; without one the test is skipped, but not in CI, which runs tools/chromium before."""
    if chromium_path() is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium: run tools/chromium")
    with browser() as running:
        yield running


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for pages."""
    return tmp_path_factory.mktemp("pages")
