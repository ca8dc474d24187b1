"""A headless Chromium for the tests and figures of the plan viewer (`tools/chromium` installs one)."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_TIMEOUT_MS = 60_000


def chromium_path() -> str | None:
    """The browser of this system; None if there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A running browser without a network."""
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield running
        running.close()


@contextlib.contextmanager
def opened(running: Browser, path: Path, *, wait: bool = True, **context: Any) -> Iterator[Page]:
    """A page of the viewer, its first picture drawn; whatever it asks of a network, or logs as an error, fails.

    Parameters
    ----------
    wait : bool
        Whether to wait for the first picture.
    **context
        Of the browser: ``viewport``, ``color_scheme``, ``java_script_enabled``.
    """
    context.setdefault("viewport", {"width": 1440, "height": 900})
    with contextlib.closing(running.new_context(**context)) as inside:
        inside.set_default_timeout(_TIMEOUT_MS)
        page = inside.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: wrong.append(request.url) if _is_remote(request.url) else None)
        page.goto(path.resolve().as_uri())
        if wait:
            page.wait_for_function(
                "document.documentElement.dataset.ready || !document.getElementById('trouble').hidden"
            )
        yield page
        if wrong:
            raise RuntimeError(f"{path.name}: {wrong[0]}")


def first_picture_ms(page: Page) -> float:
    """Milliseconds from the start of the navigation to the first picture of the graph."""
    return float(page.evaluate("window.planViewer.firstPictureMs"))


def _is_remote(url: str) -> bool:
    return not url.startswith(("file:", "blob:", "data:", "about:"))
